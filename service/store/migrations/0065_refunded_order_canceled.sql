-- A refund may come back after the capture that it was of was taken back: then nothing is paid.
-- depends: 0064_write_probe

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('order', 'refunded', 'canceled');
