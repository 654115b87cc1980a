-- A day's orders are counted before each entry leaves.
CREATE INDEX venue_orders_by_time ON venue_orders (created_ms);
