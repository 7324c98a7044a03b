-- What merchants are told of payments, refunds and orders is written by the triggers on them, as the
-- owner. Everybody else writes the event that an operator tries an endpoint with.
-- depends: 0060_nothing_for_the_public

-- Only inserting is narrowed: who may read or delete is a matter of grants, as before.
CREATE POLICY everybody_reads ON webhook_events FOR SELECT USING (true);
CREATE POLICY everybody_forgets ON webhook_events FOR DELETE USING (true);
CREATE POLICY others_write_tests ON webhook_events FOR INSERT WITH CHECK (type = 'webhook.test');

-- expands: it hides nothing, and the release before writes no other event either
ALTER TABLE webhook_events ENABLE ROW LEVEL SECURITY;
