-- What an administrator does once for gov (README.md).
CREATE ROLE gov_managed NOLOGIN;
CREATE ROLE app_ro NOLOGIN;
CREATE ROLE app_rw NOLOGIN;
CREATE ROLE gov_broker LOGIN CREATEROLE;
GRANT pg_signal_backend TO gov_broker;
GRANT gov_managed, app_ro, app_rw TO gov_broker WITH ADMIN OPTION;

-- A small shop. Names are made up, addresses are in domains for examples, card numbers are of the kind for tests.
CREATE TABLE customers (
    id int PRIMARY KEY,
    full_name text NOT NULL,
    email text NOT NULL,
    phone text,
    credit_card text,
    born date,
    country text NOT NULL
);
CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    amount numeric(10, 2) NOT NULL,
    status text NOT NULL,
    placed_at timestamptz NOT NULL
);
CREATE TABLE support_notes (id int PRIMARY KEY, customer_id int REFERENCES customers, note text);
CREATE TABLE staff (id int PRIMARY KEY, full_name text, salary numeric(10, 2), api_key text);

INSERT INTO customers
SELECT i,
       first || ' ' || last,
       lower(first || '.' || last) || i || '@' || (ARRAY['mail.example.com', 'post.example.org', 'example.net'])[1 + i % 3],
       '+47 22 ' || lpad((i * 7919 % 100)::text, 2, '0') || ' ' || lpad((i * 104729 % 100)::text, 2, '0') || ' ' || lpad((i % 100)::text, 2, '0'),
       (ARRAY['4111 1111 1111 1111', '5555 5555 5555 4444', '3782 822463 10005', '4012 8888 8888 1881'])[1 + i % 4],
       date '1950-01-01' + (i * 9973 % 20000),
       (ARRAY['NO', 'DE', 'FR', 'BR', 'IN', 'US'])[1 + i % 6]
FROM generate_series(1, 2000) i,
LATERAL (SELECT (ARRAY['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Frances', 'Niklaus', 'Radia', 'Tim'])[1 + i % 10] AS first,
                (ARRAY['Berg', 'Costa', 'Dubois', 'Engel', 'Fischer', 'Gupta', 'Hansen', 'Ivanova', 'Jensen', 'Kaya', 'Larsen'])[1 + i % 11] AS last) names;
INSERT INTO orders
SELECT i, 1 + i % 2000, round((i * 31 % 50000)::numeric / 100, 2), (ARRAY['open', 'paid', 'sent', 'returned'])[1 + i % 4],
       timestamptz '2026-01-01 00:00+00' + i * interval '37 minutes'
FROM generate_series(1, 10000) i;
INSERT INTO support_notes
SELECT i, i, 'Called back, asked to write to ' || (SELECT email FROM customers WHERE id = i) || ' instead.' FROM generate_series(1, 200) i;
INSERT INTO staff VALUES (1, 'Vera Vik', 812000, 'sk_test_' || md5('vera')), (2, 'Omar Odum', 640000, 'sk_test_' || md5('omar'));

GRANT USAGE ON SCHEMA public TO app_ro, app_rw;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app_rw;
ANALYZE;
