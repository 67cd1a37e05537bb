-- Made by gov: what its masking views call. Everything here goes with `gov classify --uninstall`.
--
-- Each function names its own search_path: it is given values that nobody else may see, and what a session sets must not
-- decide which operators they meet. None may fail: a message would quote the value.
CREATE SCHEMA @support@;
GRANT USAGE ON SCHEMA @support@ TO @reader@;

-- The secret block with which begins whatever is hashed. Only its owner reads it: row security has no policy, so that
-- not even a role that may read all tables does.
CREATE TABLE @support@.key (block bytea NOT NULL);
ALTER TABLE @support@.key ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON @support@.key FROM PUBLIC;

CREATE FUNCTION @support@.pseudonym(entity text, form text, value text, room integer) RETURNS text
  LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  k bytea;
  plain text := rtrim(value, ' ');
  word text;
  number bigint;
  made text := '';
  alphabet constant text := '0123456789abcdefghjkmnpqrstvwxyz';
  -- These two know no way to UTF-8, and would refuse with the bytes that they cannot read.
  encoding constant name := CASE WHEN getdatabaseencoding() IN ('SQL_ASCII', 'MULE_INTERNAL')
    THEN getdatabaseencoding() ELSE 'UTF8' END;
  context bytea;
BEGIN
  IF plain = '' THEN RETURN value; END IF;
  IF plain ~ '^[*]+$' OR room < (CASE form WHEN 'email' THEN 29 WHEN 'phone' THEN 16 ELSE length(entity) + 15 END) THEN
    RETURN left('***', room);
  END IF;
  SELECT block INTO k FROM @support@.key;
  context := convert_to(entity, 'UTF8') || E'\\x00'::bytea;
  number := ('x' || encode(substr(sha256(k || E'\\x01'::bytea || context
    || convert_to(plain, encoding)), 1, 8), 'hex'))::bit(64)::bigint;
  IF form = 'phone' THEN
    -- The number has no sign: a negative one stands for 2^64 more, which is 709551616 modulo 10^9, and 616 modulo 1000.
    number := CASE WHEN number < 0 THEN (number % 1000000000 + 1709551616) % 1000000000 ELSE number % 1000000000 END;
    made := '+999' || lpad(number::text, 9, '0');
    number := ('x' || encode(substr(sha256(k || E'\\x02'::bytea || context
      || int8send(number)), 1, 8), 'hex'))::bit(64)::bigint;
    number := CASE WHEN number < 0 THEN (number % 1000 + 1616) % 1000 ELSE number % 1000 END;
    RETURN made || lpad(number::text, 3, '0');
  END IF;
  FOR place IN 0..9 LOOP
    made := made || substr(alphabet, ((number >> (5 * place)) & 31)::integer + 1, 1);
  END LOOP;
  number := ('x' || encode(substr(sha256(k || E'\\x02'::bytea || context
    || convert_to(made, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint;
  FOR place IN 0..3 LOOP
    made := made || substr(alphabet, ((number >> (5 * place)) & 31)::integer + 1, 1);
  END LOOP;
  RETURN CASE form WHEN 'email' THEN made || '@masked.invalid' ELSE entity || '_' || made END;
END $body$;

CREATE FUNCTION @support@.pseudonym(entity text, value uuid) RETURNS uuid
  LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  k bytea;
  context constant bytea := convert_to(entity, 'UTF8') || E'\\x00'::bytea;
  made bytea;
BEGIN
  SELECT block INTO k FROM @support@.key;
  made := substr(sha256(k || E'\\x01'::bytea || context || uuid_send(value)), 1, 8);
  made := set_byte(made, 6, (get_byte(made, 6) & 15) | 128) || E'\\x80000000'::bytea;
  made := made || substr(sha256(k || E'\\x02'::bytea || context || made), 1, 4);
  RETURN encode(made, 'hex')::uuid;
END $body$;

-- The number that stands for another in so many digits: three that no number of the outside begins with, a quarter of the
-- others that proves the rest, and the rest. Shows the last digits of a number that has twice as many.
CREATE FUNCTION @support@.pseudonym(entity text, value numeric, digits integer, shown integer) RETURNS numeric
  LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  k bytea;
  plain constant text := trim_scale(value)::text;
  whole constant text := split_part(ltrim(plain, '-'), '.', 1);
  ending constant text := CASE WHEN length(whole) >= 2 * shown THEN right(whole, shown) ELSE '' END;
  proof constant integer := (digits - 3) / 4;
  places constant integer := digits - 3 - proof - length(ending);
  number numeric;
  rest text;
BEGIN
  -- Not a number, and the infinities.
  IF plain !~ '[0-9]' THEN RETURN value; END IF;
  SELECT block INTO k FROM @support@.key;
  number := ('x' || encode(substr(sha256(k || E'\\x01'::bytea || convert_to(entity, 'UTF8') || E'\\x00'::bytea
    || convert_to(plain, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint;
  -- The number has no sign: a negative one stands for 2^64 more.
  number := mod(number + CASE WHEN number < 0 THEN 18446744073709551616 ELSE 0 END, rpad('1', places + 1, '0')::numeric);
  rest := lpad(number::text, places, '0') || ending;
  number := ('x' || encode(substr(sha256(k || E'\\x0200'::bytea || int8send(rest::bigint)), 1, 8), 'hex'))::bit(64)::bigint;
  number := mod(number + CASE WHEN number < 0 THEN 18446744073709551616 ELSE 0 END, rpad('1', proof + 1, '0')::numeric);
  RETURN ('888' || lpad(number::text, proof, '0') || rest)::numeric;
END $body$;

-- Stars for all digits but the last four, where there is little else.
CREATE FUNCTION @support@.last_four(value text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
  SELECT CASE
    WHEN rtrim(value, ' ') = '' THEN value
    WHEN rtrim(value, ' ') ~ '^[-0-9*./ ]+$' AND length(regexp_replace(value, '[^0-9*]', '', 'g')) >= 8
      THEN regexp_replace(rtrim(value, ' '), '[0-9*](?=([^0-9*]*[0-9*]){4})', '*', 'g')
    ELSE '***' END
$body$;

-- Dates, addresses and numbers that are kept as text.
CREATE FUNCTION @support@.coarse(value text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  plain constant text := rtrim(value, ' ');
  part text[];
  whole text;
  rest text;
BEGIN
  IF plain = '' THEN RETURN value; END IF;
  part := regexp_match(plain, '^([0-9]{4,}-[0-9][0-9])-[0-9][0-9]');
  IF part IS NOT NULL THEN RETURN part[1] || '-01'; END IF;
  part := regexp_match(plain, '^([0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3})[.][0-9]{1,3}$');
  IF part IS NOT NULL THEN RETURN part[1] || '.0'; END IF;
  part := regexp_match(plain, '^(-?)([0-9]+)([.][0-9]+)?$');
  IF part IS NULL THEN RETURN '***'; END IF;
  whole := ltrim(part[2], '0');
  rest := coalesce('.' || repeat('0', length(part[3]) - 1), '');
  IF length(whole) < 2 THEN RETURN '0' || rest; END IF;
  RETURN part[1] || left(whole, 1) || repeat('0', length(whole) - 1) || rest;
END $body$;

-- What must not stand in a text, as far as its form tells: secrets, addresses, numbers of people and accounts, names.
CREATE FUNCTION @support@.scrub(given text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
  SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(given,
    '-----BEGIN [^-]+-----.*', '***', 'g'),
    '[^[:space:]@<>"'':;,()]+@[[:alnum:]-]+([.][[:alnum:]-]+)+', '***', 'g'),
    E'\\m(?=[^[:space:]]*[0-9])(?=[^[:space:]]*[[:alpha:]])[[:alnum:]_+/=-]{16,}([.][[:alnum:]_+/=-]+)*', '***', 'g'),
    '[+]?([0-9][ .()/-]{0,2}){8,}[0-9]', '***', 'g'),
    E'\\m[[:upper:]][[:alpha:]''-]+([ ][[:upper:]][[:alpha:]''-]+)+', '***', 'g')
$body$;

-- The same in every text of a document; nothing of what stands under a name that says what it is.
CREATE FUNCTION @support@.scrub(given jsonb) RETURNS jsonb
  LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  text_of constant text := given #>> '{}';
BEGIN
  CASE jsonb_typeof(given)
    WHEN 'object' THEN
      RETURN (SELECT coalesce(jsonb_object_agg(@support@.scrub(e.key), CASE
          WHEN e.key !~* '@names@' THEN @support@.scrub(e.value)
          WHEN jsonb_typeof(e.value) = 'null' THEN e.value
          WHEN jsonb_typeof(e.value) = 'number' THEN '0'
          WHEN jsonb_typeof(e.value) = 'string' AND e.value #>> '{}' ~ '^[^@[:space:]]+@[^@[:space:]]+$'
            THEN to_jsonb(@support@.pseudonym('email', 'email', e.value #>> '{}', 2147483647))
          WHEN jsonb_typeof(e.value) IN ('object', 'array') THEN '{"masked": true}'
          ELSE '"***"' END), '{}') FROM jsonb_each(given) AS e);
    WHEN 'array' THEN
      RETURN (SELECT coalesce(jsonb_agg(@support@.scrub(e.value) ORDER BY e.place), '[]')
        FROM jsonb_array_elements(given) WITH ORDINALITY AS e(value, place));
    WHEN 'string' THEN
      RETURN CASE WHEN @support@.scrub(text_of) = text_of THEN given ELSE to_jsonb(@support@.scrub(text_of)) END;
    WHEN 'number' THEN
      RETURN CASE WHEN length(regexp_replace(text_of, '[^0-9]', '', 'g')) >= 9 THEN '0' ELSE given END;
    ELSE
      RETURN given;
  END CASE;
END $body$;

-- A document without anything to mask stays as it is written. One that cannot be read is not shown; catching that takes
-- a transaction within the transaction, which parallel workers cannot have.
CREATE FUNCTION @support@.scrub(given json) RETURNS json
  LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  RETURN CASE WHEN @support@.scrub(given::jsonb) = given::jsonb THEN given ELSE @support@.scrub(given::jsonb)::json END;
EXCEPTION WHEN OTHERS THEN
  RETURN '{"masked": true}';
END $body$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA @support@ FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA @support@ TO @reader@;
