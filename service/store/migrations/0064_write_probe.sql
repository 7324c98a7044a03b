-- What readiness writes to: nobody's row, so that it waits for nobody's lock and keeps nobody waiting.
-- depends: 0063_names_that_nobody_shadows

CREATE SEQUENCE write_probe CYCLE;
GRANT USAGE ON SEQUENCE write_probe TO coinslot_service;
