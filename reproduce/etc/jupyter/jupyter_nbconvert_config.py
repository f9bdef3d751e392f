"""How nbconvert runs a notebook in place."""

c = get_config()  # noqa: F821
c.ExecutePreprocessor.record_timing = False  # else each cell is stored with its times of day
# Else a reply that is missed, as may happen where a widget shows a picture, is waited for for ever.
c.ExecutePreprocessor.timeout = 600
