"""What each kernel is told."""

from ipykernel.ipkernel import IPythonKernel

c = get_config()  # noqa: F821
c.IPKernelApp.log_level = 40  # else it begins by warning that its sockets here are not encrypted
# A notebook stores what its kernel says of the language. With the version of Python it would count
# as changed as soon as it is opened, wherever that is another; and no setting leaves it out.
IPythonKernel.language_info.pop("version", None)
