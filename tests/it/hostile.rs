//! Text made to hurt, through the real proxy: every one ends in one clean refusal with the right SQLSTATE, and the same
//! connection, or where it had to end the next one, goes on.

use std::fmt::Write as _;

use crate::support::wire::Answer;
use crate::support::{Connected, Sandbox, postgres};

/// How a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// An error with this SQLSTATE; the connection stays.
    Refused(&'static str),
    /// An error with this SQLSTATE; the connection ends.
    Ended(&'static str),
    /// It is no statement that hurts anybody.
    Runs,
}
use End::{Ended, Refused, Runs};

#[test]
fn hostile_text_ends_in_a_clean_refusal() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text, end) in texts() {
        for way in ["simple", "extended"] {
            let found = send(&connected, &text, way);
            count += 1;
            if found != end {
                wrong.push(format!("{name}, {way}: expected {end:?}, found {found:?}"));
            }
        }
    }
    println!("{} of {count} ended as they should", count - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!sandbox.server_log().contains("a fault"), "{}", sandbox.server_log());
}

/// How a text ends, told with an SQLSTATE of static life so that ends compare.
fn send(connected: &Connected, text: &[u8], way: &str) -> End {
    const KNOWN: [&str; 9] = ["54000", "54001", "42601", "42501", "22021", "08P01", "22P05", "22023", "0A000"];
    let mut wire = connected.wire(&[]).unwrap();
    let answer = if way == "simple" { wire.simple(text) } else { wire.extended(text, &[]) };
    let Answer { errors, closed, .. } = answer;
    let Some(error) = errors.first() else {
        assert!(!closed, "the connection ended without a word");
        return Runs;
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    let known = KNOWN.into_iter().find(|known| *known == error.sqlstate);
    let sqlstate = known.unwrap_or_else(|| panic!("{error:?}"));
    if closed {
        return Ended(sqlstate);
    }
    let after = wire.simple(b"SELECT 7");
    assert_eq!(after.rows, [[Some("7".to_owned())]], "{after:?} after {error:?}");
    Refused(sqlstate)
}

/// Name, text and how it ends.
fn texts() -> Vec<(String, Vec<u8>, End)> {
    let mut all: Vec<(String, Vec<u8>, End)> = Vec::new();
    let mut add = |name: String, text: Vec<u8>, end| all.push((name, text, end));
    for levels in [1_000, 30_000] {
        let nest =
            |open: &str, close: &str| format!("SELECT {}1{}", open.repeat(levels), close.repeat(levels)).into_bytes();
        add(format!("{levels} brackets"), nest("(", ")"), Refused("54001"));
        add(format!("{levels} brackets that nobody closes"), nest("(", ""), Refused("54001"));
        add(format!("{levels} sub-selects"), nest("(SELECT ", ")"), Refused("54001"));
        add(format!("{levels} NOTs"), nest("NOT ", ""), Refused("54001"));
        add(format!("{levels} CASEs"), nest("CASE WHEN true THEN ", " END"), Refused("54001"));
        add(format!("{levels} calls"), nest("abs(", ")"), Refused("54001"));
        add(format!("{levels} arrays"), nest("ARRAY[", "]"), Refused("54001"));
    }
    add("30,000 operators".into(), format!("SELECT 1{}", " + 1".repeat(30_000)).into_bytes(), Refused("54001"));
    add("30,000 unions".into(), format!("SELECT 1{}", " UNION SELECT 1".repeat(30_000)).into_bytes(), Refused("54001"));
    add(
        "30,000 joins".into(),
        format!("SELECT 1 FROM a{}", " JOIN a ON true".repeat(30_000)).into_bytes(),
        Refused("54001"),
    );
    add("30,000 comments in one another".into(), format!("{}1", "/*".repeat(30_000)).into_bytes(), Refused("42601"));
    let mut with = "SELECT 1".to_owned();
    for level in 0..3_000 {
        with = format!("WITH a{level} AS ({with}) SELECT 1");
    }
    add("3,000 WITHs".into(), with.into_bytes(), Refused("54001"));

    add("2 MB".into(), format!("SELECT '{}'", "x".repeat(2 << 20)).into_bytes(), Refused("54000"));
    add("63 MB".into(), vec![b' '; 63 << 20], Refused("54000"));
    add("65 MB".into(), vec![b' '; 65 << 20], Ended("54000"));

    for (name, bytes) in [
        ("a byte that is no UTF-8", &b"SELECT '\xff'"[..]),
        ("an overlong slash", b"SELECT '\xc0\xaf'"),
        ("half a letter", b"SELECT '\xe2\x82"),
        ("a surrogate", b"SELECT '\xed\xa0\x80'"),
        ("Latin-1", b"SELECT 'caf\xe9'"),
        ("UTF-16", b"S\xff\xfeE"),
    ] {
        add(name.into(), bytes.to_vec(), Refused("22021"));
    }
    // A zero ends the text; what follows is not part of the message, so the message is broken.
    add("a zero byte".into(), b"SELECT 1\0; DROP TABLE orders".to_vec(), Ended("08P01"));

    for encoding in ["SJIS", "BIG5", "GBK", "GB18030", "JOHAB", "UHC", "LATIN1", "SQL_ASCII", "EUC_JP", "MULE_INTERNAL"]
    {
        for text in [
            format!("SET client_encoding TO '{encoding}'"),
            format!("SET NAMES '{encoding}'"),
            format!("SELECT set_config('client_encoding', '{encoding}', false)"),
            format!("UPDATE pg_settings SET setting = '{encoding}' WHERE name = 'client_encoding'"),
        ] {
            add(text.clone(), text.into_bytes(), Refused("42501"));
        }
    }
    for text in ["SET client_encoding TO 'UTF8'", "SET NAMES 'utf-8'", "RESET client_encoding"] {
        add(text.into(), text.into(), Runs);
    }
    let mut list = "SELECT 1 WHERE 1 IN (1".to_owned();
    for number in 0..20_000 {
        write!(list, ",{number}").unwrap();
    }
    add("a long list".into(), format!("{list})").into_bytes(), Runs);
    all
}

#[test]
fn every_encoding_at_the_door() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["prod-db"]).unwrap();
    for encoding in ["SJIS", "BIG5", "GBK", "GB18030", "LATIN1", "SQL_ASCII", "EUC_JP"] {
        // Asked for by name it is not taken, and the client is told: drivers of that encoding can read the report.
        let options = format!("-c client_encoding={encoding}");
        for asked in [("client_encoding", encoding), ("options", options.as_str())] {
            let mut wire = connected.wire(&[asked]).unwrap();
            let shown = wire.simple(b"SHOW client_encoding");
            assert_eq!(shown.rows, [[Some("UTF8".to_owned())]], "{asked:?}: {shown:?}");
        }
    }
}

#[test]
fn a_relation_that_is_not_there_is_said_not_to_be() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    let connected = sandbox.connect(&["prod-db"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let missing = wire.simple(b"SELECT * FROM nowhere");
    assert_eq!(missing.errors[0].sqlstate, "42P01", "{missing:?}");
    assert_eq!(missing.errors[0].message, "relation \"nowhere\" does not exist");
    let near = wire.simple(b"SELECT * FROM public.custmers");
    assert_eq!(near.errors[0].message, "relation \"public.custmers\" does not exist");
    assert_eq!(near.errors[0].hint, "did you mean `customers`?");
    // Made by somebody else a moment ago: it is looked for before it is said not to be there.
    postgres::server().run(&database.name, "CREATE TABLE fresh (id int); GRANT SELECT ON fresh TO app_ro");
    assert_eq!(wire.simple(b"SELECT * FROM fresh").tags, ["SELECT 0"]);
    // What a function of the same statement may do is not excused by a missing name.
    assert_eq!(wire.simple(b"SELECT unknown_function() FROM nowhere").errors[0].sqlstate, "42501");
}
