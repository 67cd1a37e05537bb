//! Masks inside the database, on a real PostgreSQL: made, seen, kept in step, said aloud, and taken away again. What they
//! keep is tried in `leak.rs`.

use crate::support::postgres::{self, Database};
use crate::support::wire::Wire;
use crate::support::{Connected, Sandbox, wait_until};

/// The schemas, views and roles of gov's masks.
const MADE: &str = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^gov_mask_') \
    + (SELECT count(*) FROM pg_roles WHERE rolname ~ '^gov_mask_' AND EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = rolname))";

struct Bench {
    sandbox: Sandbox,
    database: Database,
}

/// What an administrator has granted before the server starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Nothing,
    /// The right to make schemas.
    Create,
    /// What `gov server --print-masking-sql` prints.
    All,
}

impl Bench {
    fn new(masking: &str, given: Given) -> Self {
        Self::beside(postgres::server().database(), masking, given)
    }

    fn beside(database: Database, masking: &str, given: Given) -> Self {
        let mut sandbox = Sandbox::new();
        let sql = match given {
            Given::Nothing => String::new(),
            Given::Create => format!("GRANT CREATE ON DATABASE {} TO gov_broker", database.name),
            Given::All => sandbox.gov(["server", "--print-masking-sql", "gov_broker"]).ok().stdout,
        };
        postgres::server().run(&database.name, &sql);
        let wish = if masking.is_empty() { String::new() } else { format!("&masking={masking}") };
        let resource = database.resource("db", &sandbox.home, &format!("env=dev{wish}"));
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("alice");
        Self { sandbox, database }
    }

    fn run(&self, sql: &str) -> String {
        postgres::server().run(&self.database.name, sql)
    }

    fn connect(&self) -> Connected {
        self.sandbox.connect(&["db"]).unwrap()
    }

    /// Where a new session is masked, as it says itself.
    fn masking(&self) -> String {
        self.sandbox.gov(["exec", "db", "-c", "SELECT 1"]).ok();
        let found = self.sandbox.gov(["--json", "classify", "db"]).ok().json();
        found["masking"].as_str().unwrap().to_owned()
    }
}

/// The cells of the first row, as text.
fn first(wire: &mut Wire, sql: &str) -> Vec<String> {
    let answer = wire.simple(sql.as_bytes());
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    let row = answer.rows.first().unwrap_or_else(|| panic!("{sql}: no row"));
    row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned())).collect()
}

fn sqlstate(wire: &mut Wire, sql: &str) -> String {
    wire.simple(sql.as_bytes()).errors.first().map(|error| error.sqlstate.clone()).unwrap_or_default()
}

#[test]
fn whoever_reads_asks_masked_values() {
    let bench = Bench::new("database", Given::Create);
    assert_eq!(bench.masking(), "in-database");
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    // Conditions, joins and functions meet masked values, so nothing needs to be refused.
    let email = first(&mut wire, "SELECT email FROM customers WHERE id = 7");
    assert!(email[0].ends_with("@masked.invalid"), "{email:?}");
    assert_eq!(
        first(&mut wire, "SELECT split_part(email, '@', 2) FROM public.customers WHERE id = 7"),
        ["masked.invalid"]
    );
    assert_eq!(first(&mut wire, "SELECT count(*) FROM customers WHERE email LIKE '%example%'"), ["0"]);
    let same = "SELECT count(*) FROM customers a JOIN public.customers b USING (email)";
    assert_eq!(first(&mut wire, same), ["20"]);
    assert_eq!(first(&mut wire, "SELECT id, email FROM customers WHERE email = 'person7@mail.example.org'")[0], "7");
    assert_eq!(first(&mut wire, &format!("SELECT id FROM customers WHERE email = '{}'", email[0])), ["7"]);
    assert_eq!(
        first(&mut wire, "SELECT right(credit_card, 4), born FROM customers WHERE id = 7"),
        ["1111", "1970-09-01"]
    );
    // What is not sensitive is as it was.
    assert_eq!(first(&mut wire, "SELECT sum(amount) FROM public.orders"), ["7575.0"]);
    assert_eq!(
        first(&mut wire, "SET search_path = pg_catalog; SELECT country FROM public.customers WHERE id = 7"),
        ["DE"]
    );
    // A position is one in the text that was written.
    let wrong = wire.simple(b"SELECT nope FROM public.customers");
    assert_eq!(wrong.errors[0].sqlstate, "42703", "{wrong:?}");
    // The same pseudonym as on the way.
    let way = Bench::new("wire", Given::Create);
    assert_eq!(way.masking(), "on-wire (reduced guarantee)");
}

#[test]
fn values_that_are_bound_find_what_values_written_out_do() {
    let bench = Bench::new("database", Given::Create);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    let by_mail = "SELECT id FROM customers WHERE email = $1";
    let mut found = |sql: &str, values: &[&str]| {
        let answer = wire.extended(sql.as_bytes(), values);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        answer.rows.iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(by_mail, &["person7@mail.example.org"]), ["7"]);
    assert_eq!(
        found(
            "SELECT id FROM customers WHERE email IN ($1, $2) ORDER BY 1",
            &["person7@mail.example.org", "person9@mail.example.org"]
        ),
        ["7", "9"]
    );
    assert!(found(by_mail, &["person7@mail.example"]).is_empty());
    let by_any = "SELECT id FROM customers WHERE email = ANY($1) ORDER BY 1";
    assert_eq!(found(by_any, &["{person7@mail.example.org,\"person9@mail.example.org\",NULL,x}"]), ["7", "9"]);
    assert_eq!(found("SELECT id FROM customers WHERE email = ANY('{person7@mail.example.org}')", &[]), ["7"]);
    let seen = found("SELECT email FROM customers WHERE id = $1::int", &["7"]);
    assert_eq!(found(by_mail, &[&seen[0]]), ["7"], "a pseudonym that was seen");
}

/// Numbers that name somebody, in types of every length, and values at the ends of what each can hold.
const SUBSCRIBERS: &str = "
    CREATE TABLE subscribers (id int PRIMARY KEY, phone bigint, ssn numeric, mobile_number numeric(15, 0),
        passport_number numeric(18, 2), national_id numeric(12, 0), credit_card bigint, card_number numeric(16, 0), national_ids bigint[],
        phone_number integer, social_security_number numeric(10, 0)[]);
    INSERT INTO subscribers SELECT n, 4722000000 + n % 20, 123456700 + n, 4790000000 + n, 1000000 + n + 0.25,
        900000000000 - n, 4111111111111111 + n, 5555555555554444 + n, ARRAY[n * 1000000007::bigint, NULL, 7], 900000000 + n,
        ARRAY[1234567890 + n] FROM generate_series(1, 40) n;
    INSERT INTO subscribers VALUES
        (100, 0, 0.000, 0, 0, 0, 12345, 7, '{}', 0, '{}'),
        (101, 9223372036854775807, 123456789012345678901234567890.5000, 999999999999999, 9999999999999999.99, 999999999999,
         9223372036854775807, 9999999999999999, '{9223372036854775807}', 2147483647, '{9999999999}'),
        (102, -9223372036854775808, -0.00000001, -1, -0.01, -1, -4111111111111111, -1, '{-1}', -1, '{-1}'),
        (103, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (104, 4722000001, 10000, 4790000001, 100000000, 1, 100000000, 20000, '{1}', 1, '{1}');
    GRANT SELECT, UPDATE ON subscribers TO app_ro, app_rw, gov_broker";

#[test]
fn numbers_have_one_pseudonym_in_the_database_and_on_the_way() {
    let database = postgres::server().database();
    postgres::server().run(&database.name, SUBSCRIBERS);
    let bench = Bench::beside(database, "", Given::All);
    assert_eq!(bench.masking(), "in-database");
    let all = "SELECT * FROM subscribers ORDER BY id";
    let in_database = bench.connect().wire(&[]).unwrap().simple(all.as_bytes());
    bench.sandbox.log_in("bob");
    let writes = bench.sandbox.connect(&["db", "--write"]).unwrap();
    let mut wire = writes.wire(&[]).unwrap();
    let on_the_way = wire.simple(all.as_bytes());
    assert!(in_database.errors.is_empty() && on_the_way.errors.is_empty(), "{in_database:?} {on_the_way:?}");
    assert_eq!(in_database.rows.len(), 45);
    for (one, other) in in_database.rows.iter().zip(&on_the_way.rows) {
        assert_eq!(one, other);
    }
    // Each is what it should be: nobody compares what neither has masked.
    let cell = |row: usize, column: usize| in_database.rows[row][column].clone().unwrap();
    let length = |row, column| (cell(row, column).get(..3).unwrap().to_owned(), cell(row, column).len());
    assert_eq!([1, 2, 3, 4].map(|column| length(3, column).0), ["888"; 4]);
    assert_eq!([1, 2, 3, 4].map(|column| length(3, column).1), [19, 19, 15, 16 + ".00".len()]);
    assert!(cell(3, 6).starts_with("888") && cell(3, 6).ends_with("1115") && cell(3, 6).len() == 19);
    assert!(cell(3, 7).starts_with("888") && cell(3, 7).ends_with("4448") && cell(3, 7).len() == 16);
    assert_eq!([5, 9].map(|column| cell(3, column)), ["800000000000", "900000000"], "too short for one");
    assert_eq!(cell(3, 10), "{1000000000}");
    assert!(cell(3, 8).starts_with("{888") && cell(3, 8).contains(",NULL,888"), "{}", cell(3, 8));
    // What is equal stays equal, in whatever type has the room, and nothing else becomes so.
    let connected = bench.connect();
    let mut reads = connected.wire(&[]).unwrap();
    assert_eq!(
        first(&mut reads, "SELECT count(DISTINCT phone), count(*) FROM subscribers WHERE id <= 40"),
        ["20", "40"]
    );
    let joined =
        "SELECT count(*) FROM subscribers a JOIN subscribers b ON a.phone = b.phone WHERE a.id <= 40 AND b.id <= 40";
    assert_eq!(first(&mut reads, joined), ["80"]);
    // And it is refused where it would be written, as a number and as a value of a parameter.
    let (phone, ssn) = (cell(3, 1), cell(3, 2));
    for sql in [
        format!("UPDATE subscribers SET phone = {phone} WHERE id = 1"),
        format!("UPDATE subscribers SET ssn = {ssn}.00 WHERE id = 1"),
        format!("UPDATE subscribers SET national_ids = '{{1,{phone}}}' WHERE id = 1"),
    ] {
        let answer = wire.simple(sql.as_bytes());
        assert!(answer.errors[0].message.contains("was made by a mask"), "{sql}: {answer:?}");
    }
    let answer = wire.extended(b"UPDATE subscribers SET phone = $1 WHERE id = 1", &[&phone]);
    assert!(answer.errors[0].message.contains("was made by a mask"), "{answer:?}");
}

#[test]
fn who_compares_masks_is_told_once() {
    let bench = Bench::new("", Given::All);
    let connected = bench.connect();
    let (mut wire, mut other) = (connected.wire(&[]).unwrap(), connected.wire(&[]).unwrap());
    let check = |wire: &mut Wire, sql: &str, expected: &[&str]| {
        let answer = wire.simple(sql.as_bytes());
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        let told: Vec<&str> = answer.notices.iter().map(|notice| notice.message.as_str()).collect();
        let message =
            |column: &&str| format!("`customers.{column}` is masked: this compares its masks, not its values");
        assert_eq!(told, expected.iter().map(message).collect::<Vec<_>>(), "{sql}");
    };
    // What means something on masks.
    for sql in [
        "SELECT * FROM customers",
        "SELECT email, count(*) FROM customers GROUP BY email",
        "SELECT count(DISTINCT full_name) FROM customers WHERE born IS NOT NULL",
        "SELECT id FROM customers WHERE email = 'person1@mail.example.org' AND country LIKE 'N%' ORDER BY id",
        "SELECT a.id FROM customers a JOIN customers b USING (email) WHERE b.email IN ('person2@mail.example.org', 'x')",
    ] {
        check(&mut wire, sql, &[]);
    }
    check(&mut wire, "SELECT id FROM customers WHERE email LIKE '%@mail.example.org'", &["email"]);
    check(&mut wire, "SELECT id FROM customers WHERE lower(email) = 'person1@mail.example.org'", &[]);
    check(&mut other, "SELECT id FROM customers WHERE born < '1980-01-01' ORDER BY email", &["born"]);
    check(&mut other, "SELECT id FROM customers WHERE credit_card = '4111 1111 1111 1111'", &["credit_card"]);
    let answer = wire.extended(b"SELECT id FROM customers WHERE full_name > $1", &["Person"]);
    assert_eq!((answer.errors.len(), answer.notices.len()), (0, 1), "{answer:?}");
    let answer = wire.extended(b"SELECT id FROM customers WHERE full_name > $1", &["Person"]);
    assert_eq!((answer.errors.len(), answer.notices.len()), (0, 0), "{answer:?}");
    // Scripts are told as people are, and who asks before hears the same.
    let like = "SELECT id FROM customers WHERE email LIKE 'p%' AND born > '1980-01-01'";
    let told = bench.sandbox.gov(["exec", "db", "-c", like]).ok().stderr;
    let foretold = bench.sandbox.gov(["explain", "db", like]).ok().stderr;
    for (column, finds) in [("email", "Only = and IN with whole values"), ("born", "No comparison with a value")] {
        let message = format!("`customers.{column}` is masked: this compares its masks, not its values");
        assert!(told.contains(&format!("notice: {message}\n  {finds}")), "{told}");
        assert!(told.contains(&format!("hint: connect with --reveal customers.{column} ")), "{told}");
        assert!(foretold.contains(&format!("{message}. {finds}")), "{foretold}");
    }
    let found = bench.sandbox.gov(["--json", "explain", "db", like]).ok().json();
    assert_eq!(
        (found["compares"][0]["column"].as_str(), found["compares"][2].as_str()),
        (Some("customers.email"), None)
    );
}

#[test]
fn temporary_tables_hold_masks() {
    let bench = Bench::new("", Given::All);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    let mut runs = |sql: &str| {
        let answer = wire.simple(sql.as_bytes());
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        answer.rows
    };
    runs("CREATE TEMP TABLE kept AS SELECT id, email, country FROM customers");
    assert_eq!(runs("SELECT count(*) FROM kept WHERE email LIKE '%@masked.invalid'")[0][0].as_deref(), Some("20"));
    runs(
        "INSERT INTO kept VALUES (21, 'x', 'NO'); UPDATE kept SET country = 'SE' WHERE id = 21; DELETE FROM kept WHERE id < 3",
    );
    assert_eq!(runs("SELECT count(*) FROM kept")[0][0].as_deref(), Some("19"));
    let prepares = |wire: &mut Wire, sql: &str, values: &[&str], tag: &str| {
        let answer = wire.extended(sql.as_bytes(), values);
        assert_eq!((answer.errors.len(), answer.tags.as_slice()), (0, &[tag.to_owned()][..]), "{sql}: {answer:?}");
    };
    prepares(&mut wire, "INSERT INTO kept VALUES ($1::int, 'y', 'NO')", &["30"], "INSERT 0 1");
    prepares(
        &mut wire,
        "CREATE TEMP TABLE other AS SELECT id, email FROM customers WHERE id < $1::int",
        &["3"],
        "SELECT 2",
    );
    assert_eq!(first(&mut wire, "SELECT count(*) FROM other WHERE email LIKE '%@masked.invalid'"), ["2"]);
    prepares(&mut wire, "DROP TABLE other", &[], "DROP TABLE");
    // First in a transaction block there is room for one that writes, whichever way it comes; behind a read there is none.
    for is_prepared in [false, true] {
        assert_eq!(sqlstate(&mut wire, "BEGIN"), "");
        match is_prepared {
            true => prepares(&mut wire, "CREATE TEMP TABLE inner_one (a int)", &[], "CREATE TABLE"),
            false => assert_eq!(sqlstate(&mut wire, "CREATE TEMP TABLE inner_one (a int)"), ""),
        }
        prepares(&mut wire, "INSERT INTO inner_one SELECT id FROM customers", &[], "INSERT 0 20");
        assert_eq!(first(&mut wire, "SELECT count(*) FROM inner_one"), ["20"]);
        assert_eq!(sqlstate(&mut wire, "COMMIT"), "");
        assert_eq!(first(&mut wire, "SELECT count(*) FROM inner_one"), ["20"]);
        assert_eq!(sqlstate(&mut wire, "BEGIN; DROP TABLE inner_one; ROLLBACK"), "");
        assert_eq!(sqlstate(&mut wire, "BEGIN; SELECT 1; DROP TABLE inner_one; COMMIT"), "");
    }
    assert_eq!(sqlstate(&mut wire, "BEGIN"), "");
    assert_eq!(first(&mut wire, "SELECT count(*) FROM customers"), ["20"]);
    let late = wire.extended(b"CREATE TEMP TABLE late (a int)", &[]);
    assert_eq!(late.errors[0].sqlstate, "25006", "{late:?}");
    assert!(late.errors[0].hint.contains("outside a transaction block"), "{late:?}");
    assert_eq!(sqlstate(&mut wire, "ROLLBACK"), "");
    // A block that may write is audited all the same, and the one after it reads.
    assert_eq!(sqlstate(&mut wire, "BEGIN"), "");
    assert_eq!(sqlstate(&mut wire, "CREATE TEMP TABLE again (a int)"), "");
    assert_eq!(sqlstate(&mut wire, "INSERT INTO orders VALUES (1000)"), "42501");
    assert_eq!(sqlstate(&mut wire, "ROLLBACK"), "");
    assert_eq!(first(&mut wire, "SHOW transaction_read_only"), ["on"]);
    // What is not temporary stays out of reach.
    for sql in
        ["CREATE TABLE lasting (a int)", "INSERT INTO orders VALUES (1)", "DROP TABLE customers", "TRUNCATE orders"]
    {
        assert_eq!(sqlstate(&mut wire, sql), "42501", "{sql}");
    }
    assert_eq!(sqlstate(&mut wire, "SELECT * INTO TEMP third FROM kept; DROP TABLE kept; DROP TABLE third"), "");
}

#[test]
fn the_role_has_no_right_on_what_is_behind() {
    let bench = Bench::new("database", Given::Create);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    let role = first(&mut wire, "SELECT current_user").remove(0);
    for (what, expected) in [
        ("has_table_privilege('{}', 'public.customers', 'SELECT')", "f"),
        ("has_any_column_privilege('{}', 'public.customers', 'SELECT')", "f"),
        ("bool_or(has_table_privilege('{}', c.oid, 'SELECT')) FROM pg_class c WHERE relname = 'key'", "f"),
        (
            "bool_or(has_table_privilege('{}', c.oid, 'SELECT')) FROM pg_class c WHERE relkind = 'v' AND relname = 'customers'",
            "t",
        ),
    ] {
        assert_eq!(bench.run(&format!("SELECT {}", what.replace("{}", &role))), expected, "{what}");
    }
    // Nobody calls what makes pseudonyms, and nobody reads the key.
    let support = bench.run(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^gov_mask_[0-9a-f]{8}$' AND nspname IN \
        (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'key')",
    );
    for sql in [
        format!("SELECT {support}.pseudonym('email', 'email', 'x@x.example', 100)"),
        format!("SELECT * FROM {support}.key"),
    ] {
        assert!(!sqlstate(&mut wire, &sql).is_empty(), "{sql}");
    }
}

#[test]
fn views_follow_the_schema() {
    let bench = Bench::new("database", Given::Create);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    assert_eq!(first(&mut wire, "SELECT count(*) FROM customers"), ["20"]);
    bench.run(
        "CREATE TABLE staff (id int, work_email text); GRANT SELECT ON staff TO app_ro; \
         INSERT INTO staff SELECT i, 'w' || i || '@corp.example' FROM generate_series(1, 30) i; \
         ALTER TABLE customers ADD mobile_phone text; UPDATE customers SET mobile_phone = '+4915112345' || 100 + id",
    );
    wait_until("a new table's view", || sqlstate(&mut wire, "SELECT * FROM staff").is_empty());
    assert!(first(&mut wire, "SELECT lower(work_email) FROM public.staff")[0].ends_with("@masked.invalid"));
    wait_until("a new column", || sqlstate(&mut wire, "SELECT mobile_phone FROM customers").is_empty());
    assert!(first(&mut wire, "SELECT mobile_phone FROM customers")[0].starts_with("+999"));
}

#[test]
fn what_cannot_be_had_is_said_and_never_replaced_in_silence() {
    let refused = Bench::new("database", Given::Nothing);
    let failed = refused.sandbox.gov(["exec", "db", "-c", "SELECT 1"]);
    assert!(failed.stderr.contains("cannot be masked in the database"), "{}", failed.stderr);
    wait_until("the remedy", || refused.sandbox.server_log().contains("GRANT CREATE ON DATABASE"));
    let auto = Bench::new("auto", Given::Nothing);
    assert_eq!(auto.masking(), "on-wire (reduced guarantee)");
    assert!(auto.connect().wire(&[]).is_ok());
    // What everybody may read no view can keep.
    let open = Bench::new("auto", Given::All);
    open.run("GRANT SELECT (email) ON customers TO PUBLIC");
    wait_until("the check", || {
        drop(open.sandbox.gov(["exec", "db", "-c", "SELECT 1"]));
        open.masking() == "on-wire (reduced guarantee)"
    });
    assert!(open.sandbox.server_log().contains("REVOKE SELECT ON"));
}

#[test]
fn by_default_it_is_where_rights_and_migrations_allow_it() {
    let asked = "SELECT count(*) FROM customers WHERE email LIKE 'person7%'";
    let explained = |bench: &Bench| bench.sandbox.gov(["--json", "explain", "db", asked]).ok().json();

    let bench = Bench::new("", Given::All);
    assert_eq!(bench.masking(), "in-database");
    let found = explained(&bench);
    assert_eq!((&found["masking"], &found["refused"]), (&"in-database".into(), &serde_json::Value::Null), "{found}");
    // Those who are to see real values are masked there too.
    let shows = ["explain", "db", "SELECT email FROM customers"];
    let reveals = bench.sandbox.gov([&["--json"], &shows[..], &["--reveal", "customers.email"]].concat()).ok().json();
    assert_eq!((&reveals["masking"], &reveals["columns"][0]["mask"]), (&"in-database".into(), &"clear".into()));

    for (given, why) in [(Given::Nothing, "may not make the schemas"), (Given::Create, "dropping or retyping")] {
        let bench = Bench::new("", given);
        assert_eq!(bench.masking(), "on-wire (reduced guarantee)");
        let found = explained(&bench);
        assert!(found["masking_reason"].as_str().unwrap().contains(why), "{found}");
        assert_eq!(found["refused"]["rule"], "masked_condition", "{found}");
        let told = bench.sandbox.gov(["classify", "db"]).ok().stderr;
        assert!(told.contains("on-wire (reduced guarantee)") && told.contains(why), "{told}");
        wait_until("the remedy", || {
            bench.sandbox.server_log().contains("--print-masking-sql gov_broker | psql -d shop_")
        });
    }
}

#[test]
fn migrations_meet_no_view() {
    let bench = Bench::new("auto", Given::All);
    assert_eq!(bench.masking(), "in-database");
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    let sees = "SELECT split_part(email, '@', 2) FROM customers WHERE id = 7";
    assert_eq!(first(&mut wire, sees), ["masked.invalid"]);
    let views = "SELECT count(*) FROM pg_views WHERE schemaname ~ '^gov_mask_'";
    let before = bench.run(views);
    // What no view is in the way of leaves them alone.
    bench.run("ALTER TABLE customers ADD CONSTRAINT known CHECK (id > 0), ALTER country SET DEFAULT 'NO'");
    assert_eq!(bench.run(views), before);
    // A migration that was taken back takes its effect on views back.
    bench.run("BEGIN; ALTER TABLE customers ALTER email TYPE varchar(200); ROLLBACK");
    assert_eq!(bench.run(views), before);
    bench.run("ALTER TABLE customers ALTER email TYPE varchar(200), DROP COLUMN full_name");
    wait_until("the view is back", || sqlstate(&mut wire, sees).is_empty());
    assert_eq!(first(&mut wire, sees), ["masked.invalid"]);
    assert_eq!(sqlstate(&mut wire, "SELECT full_name FROM customers"), "42703");
    // Code may be about any of them.
    bench.run("DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'ord' || 'ers'; END $$");
    wait_until("the views are back", || sqlstate(&mut wire, sees).is_empty());
}

/// Where nobody has a session, `gov classify` is who looks.
#[test]
fn a_new_table_is_listed_at_once() {
    for (masking, given) in [("wire", Given::Nothing), ("database", Given::Create)] {
        let bench = Bench::new(masking, given);
        bench.sandbox.gov(["classify", "db"]).ok();
        bench.run(
            "CREATE TABLE staff (id int, email text); INSERT INTO staff VALUES (1, 'ann@mail.example.org');
             GRANT SELECT ON staff TO app_ro",
        );
        let listed = bench.sandbox.gov(["classify", "db"]).ok().stdout;
        assert!(listed.contains("staff.email"), "{masking}: {listed}");
        let seen = bench.sandbox.gov(["exec", "db", "-c", "SELECT email FROM staff"]).ok().stdout;
        assert!(seen.contains("masked.invalid"), "{masking}: {seen}");
    }
}

#[test]
fn what_somebody_else_has_left_is_told() {
    let database = postgres::server().database();
    postgres::server().run(&database.name, "CREATE SCHEMA gov_mask_0badcafe; CREATE SCHEMA gov_mask_0badcafe_public");
    let mut sandbox = Sandbox::new();
    let resource = database.resource("db", &sandbox.home, "env=dev&masking=wire");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    let told = |log: String| {
        log.contains("not of this resource")
            && log.contains("gov_mask_0badcafe_public")
            && log.contains("DROP OWNED BY")
    };
    wait_until("what is left is told", || told(sandbox.server_log()));
}

/// A gateway whose key is no more, and things that only have the names of what gov makes.
#[test]
fn what_a_dead_gateway_has_left_is_named_and_taken_away_when_asked_for() {
    let database = postgres::server().database();
    let left = Bench::beside(database, "database", Given::Create);
    assert_eq!(left.masking(), "in-database");
    let dead = left.run("SELECT substr(min(nspname), 1, 17) FROM pg_namespace WHERE nspname ~ '^gov_mask_'");
    let dead = dead.trim().to_owned();
    let Bench { sandbox, database } = left;
    drop(sandbox);
    let bench = Bench::beside(database, "database", Given::Create);
    assert_eq!(bench.masking(), "in-database");
    bench.run("CREATE SCHEMA gov_mask_0badcafe; CREATE TABLE gov_mask_0badcafe.dear (a int)");
    bench.sandbox.log_in("dave");
    let uninstall = |more: &[&str]| bench.sandbox.gov([&["classify", "db", "--uninstall"], more].concat());
    let told = uninstall(&[]).ok().stderr;
    assert!(told.contains(&format!("gov classify db --uninstall --left-behind {dead}")), "{told}");
    assert!(told.contains("`gov_mask_0badcafe` stands there too. It does not carry gov's mark"), "{told}");
    // What gov did not make stays, and with it what it would go with.
    let strange = uninstall(&["--left-behind", "gov_mask_0badcafe"]);
    assert!(strange.stderr.contains("is left where it is"), "{}", strange.stderr);
    bench.run(&format!("CREATE VIEW public.mine AS SELECT id FROM {dead}_public.customers"));
    let used = uninstall(&["--left-behind", &dead]);
    assert!(used.stderr.contains("gov did not make `public.mine`"), "{}", used.stderr);
    bench.run("DROP VIEW public.mine");
    for wrong in ["gov_mask_00000000", "public", "gov_mask_0badcafe_public"] {
        let refused = uninstall(&["--left-behind", wrong]);
        assert!(refused.stderr.contains("no masks of another gateway"), "{}", refused.stderr);
    }
    let away = uninstall(&["--left-behind", &dead]).ok().stderr;
    assert!(away.contains(&format!("Nothing of `{dead}` is left")) && !away.contains("--left-behind"), "{away}");
    let left = format!(
        "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^{dead}') + (SELECT count(*) FROM pg_roles WHERE rolname = '{dead}')"
    );
    assert_eq!(bench.run(&left).trim(), "0");
    assert_eq!(bench.run("SELECT count(*) FROM gov_mask_0badcafe.dear").trim(), "0", "it is there");
}

#[test]
fn all_of_it_can_be_taken_away() {
    let bench = Bench::new("database", Given::Create);
    assert_eq!(bench.masking(), "in-database");
    assert_ne!(bench.run(MADE), "0");
    let refused = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(refused.stderr.contains("operators only"), "{}", refused.stderr);
    bench.sandbox.log_in("dave");
    let away = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(away.stderr.contains("Nothing of the masks of `db` is left"), "{}", away.stderr);
    assert_eq!(bench.run("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^gov_mask_'"), "0");
    let again = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(again.stderr.contains("There were no masking views"), "{}", again.stderr);
    // Without masks, and with the wish for them, nobody reads.
    bench.sandbox.log_in("alice");
    let failed = bench.sandbox.gov(["exec", "db", "-c", "SELECT 1"]);
    assert!(failed.stderr.contains("cannot be masked in the database"), "{}", failed.stderr);
}
