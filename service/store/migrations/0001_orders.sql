-- Orders: what a user wants to buy, with prices frozen at creation.
-- Money is bigint minor units plus an ISO 4217 code. Ids are UUIDv7, so that they sort by time.

CREATE TABLE orders (
    id          uuid PRIMARY KEY,
    user_id     text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 128),
    status      text NOT NULL DEFAULT 'pending',
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint NOT NULL CHECK (total_minor > 0),
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
    -- what a payment refers to, so that it is of this owner, amount and currency or not at all
    UNIQUE (id, user_id, currency, total_minor)
);

CREATE INDEX orders_by_user ON orders (user_id, id DESC);
CREATE INDEX orders_to_expire ON orders (expires_at) WHERE status = 'pending';

CREATE TABLE order_items (
    order_id         uuid NOT NULL REFERENCES orders,
    game_id          text NOT NULL CHECK (length(game_id) BETWEEN 1 AND 64),
    title            text NOT NULL,
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 10),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor > 0),
    PRIMARY KEY (order_id, game_id)
);

-- Which status may follow which: the one place where the database knows it. A test holds it
-- against service/domain.
CREATE TABLE status_transitions (
    entity      text NOT NULL,
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (entity, from_status, to_status)
);

INSERT INTO status_transitions (entity, from_status, to_status) VALUES
    ('order', 'new', 'pending'),
    ('order', 'pending', 'paid'),
    ('order', 'pending', 'canceled'),
    ('order', 'pending', 'expired'),
    ('order', 'paid', 'fulfilled'),
    ('order', 'paid', 'refunded'),
    ('order', 'fulfilled', 'refunded');

-- Set-wise guards: one look at all rows of a statement is cheaper than one call a row.

CREATE FUNCTION guard_first_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT n.id, n.status INTO bad FROM new_rows n
    WHERE NOT EXISTS (
        SELECT FROM status_transitions t
        WHERE t.entity = TG_ARGV[0] AND t.from_status = 'new' AND t.to_status = n.status)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% % cannot begin as %', TG_ARGV[0], bad.id, bad.status
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0] || '_transition';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION guard_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT o.id, o.status AS was, n.status AS wanted INTO bad
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.status <> n.status AND NOT EXISTS (
        SELECT FROM status_transitions t
        WHERE t.entity = TG_ARGV[0] AND t.from_status = o.status AND t.to_status = n.status)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% % cannot go from % to %', TG_ARGV[0], bad.id, bad.was, bad.wanted
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0] || '_transition';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_immutable';
END
$$;

CREATE TRIGGER orders_first_status AFTER INSERT ON orders
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_first_status('order');

CREATE TRIGGER orders_transition AFTER UPDATE ON orders
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_transition('order');

CREATE TRIGGER orders_identity
    BEFORE UPDATE OF id, user_id, currency, total_minor, created_at ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('an order keeps its owner and its price');

CREATE TRIGGER orders_kept BEFORE DELETE OR TRUNCATE ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('orders are kept');

CREATE FUNCTION guard_order_total() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT o.id, o.total_minor, sum(i.quantity * i.unit_price_minor) AS items INTO bad
    FROM orders o JOIN order_items i ON i.order_id = o.id
    WHERE o.id IN (SELECT order_id FROM new_rows)
    GROUP BY o.id
    HAVING o.total_minor <> sum(i.quantity * i.unit_price_minor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'order % says % and its items make %', bad.id, bad.total_minor, bad.items
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_total';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER order_items_total AFTER INSERT ON order_items
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION guard_order_total();

CREATE TRIGGER order_items_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON order_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('items are frozen with their order');
