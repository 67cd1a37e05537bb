//! Plans, their SQL and the texts that lead to it, as data. That the SQL does what it says is tried on a real server in
//! `tests/it/in_database.rs`.

use super::*;
use crate::domain::{Access, Environment, IdentityKind, Secret};
use crate::engine::Understood;
use crate::engine::catalog::CatalogColumn;
use crate::engine::classify::{Classification, FREE_TEXT, Finding};
use crate::engine::detector;
use crate::engine::mask::pseudonym::Pseudonyms;
use crate::engine::tests::grant;
use crate::engine::write_back::Parameter;

const TEXT: u32 = 25;
const INTEGER: u32 = 23;
const NUMERIC: u32 = 1700;

fn key() -> MaskKey {
    MaskKey(Secret::new([0; 32]))
}

fn names() -> MaskingNames {
    MaskingNames::new("prod-db", &key())
}

fn relation(oid: u32, schema: &str, name: &str, columns: &[(&str, u32)]) -> CatalogRelation {
    let columns = columns.iter().zip(1..).map(|((name, kind), attribute)| CatalogColumn {
        attribute,
        name: (*name).to_owned(),
        kind: *kind,
        ..CatalogColumn::default()
    });
    let (schema, name) = (schema.to_owned(), name.to_owned());
    CatalogRelation { oid, schema, name, columns: columns.collect(), ..CatalogRelation::default() }
}

/// `people` holds mail and salaries, `orders` nothing, `fresh` nobody has looked at, `contacts` is a view of `people`.
fn catalog() -> Catalog {
    let contacts = CatalogRelation {
        kind: RelationKind::View,
        definition: Some(" SELECT people.id, lower(people.mail) AS l, people.mail FROM public.people;".to_owned()),
        ..relation(20_003, "public", "contacts", &[("id", INTEGER), ("l", TEXT), ("mail", TEXT)])
    };
    let relations = vec![
        relation(20_000, "public", "people", &[("id", INTEGER), ("mail", TEXT), ("pay", NUMERIC), ("note", TEXT)]),
        relation(20_001, "public", "orders", &[("id", INTEGER), ("status", TEXT)]),
        relation(20_002, "public", "fresh", &[("id", INTEGER)]),
        contacts,
        relation(20_004, "shop", "people", &[("mail", TEXT)]),
    ];
    let finding = |entity: &str| Finding { entity: entity.to_owned(), confidence: 1.0, evidence: String::new() };
    let findings = [
        ((20_000, 2), finding("email")),
        ((20_000, 3), finding("salary")),
        ((20_000, 4), finding(FREE_TEXT)),
        ((20_004, 1), finding("email")),
    ];
    let examined = relations.iter().filter(|relation| relation.name != "fresh");
    let examined = examined.flat_map(|relation| relation.columns.iter().map(|column| (relation.oid, column.attribute)));
    let classification =
        Classification { findings: findings.into(), examined: examined.collect(), ..Classification::default() };
    Catalog::new(relations, classification)
}

fn rights(catalog: &Catalog, change: impl Fn(&CatalogRelation, &mut ColumnRights)) -> Vec<ColumnRights> {
    let column = |relation: &CatalogRelation, column: &CatalogColumn| {
        let written = match column.kind {
            TEXT => "text",
            NUMERIC => "numeric(10,2)",
            _ => "integer",
        };
        let mut rights = ColumnRights {
            relation: relation.oid,
            attribute: column.attribute,
            written: written.to_owned(),
            kind: column.kind,
            modifier: if column.kind == NUMERIC { (10 << 16 | 2) + 4 } else { -1 },
            wanted: true,
            readable: true,
            grantable: false,
            opens: false,
            unfiltered: false,
        };
        change(relation, &mut rights);
        rights
    };
    let all = catalog.relations().flat_map(|relation| relation.columns.iter().map(move |one| column(relation, one)));
    all.collect()
}

fn plan(change: impl Fn(&CatalogRelation, &mut ColumnRights)) -> MaskingPlan {
    plan_revealing(change, &[])
}

fn plan_revealing(change: impl Fn(&CatalogRelation, &mut ColumnRights), revealing: &[Revealing]) -> MaskingPlan {
    let catalog = Arc::new(catalog());
    let policy = Arc::new(Policy::built_in(Environment::Production));
    let rights = rights(&catalog, change);
    MaskingPlan::new(&names(), &catalog, &policy, &grant(Access::Read, IdentityKind::Person), &rights, revealing)
}

/// What the database says after a plan was carried out.
fn carried_out(plan: &MaskingPlan) -> MaskingState {
    let views = plan.views.iter().map(|view| Made {
        schema: view.schema.clone(),
        name: view.name.clone(),
        comment: version("view", &view.sql),
    });
    let schemas: BTreeSet<String> = plan.views.iter().map(|view| view.schema.clone()).collect();
    let granted = plan.granted.iter().map(|(schema, name)| Made {
        schema: schema.clone(),
        name: name.clone(),
        comment: String::new(),
    });
    MaskingState {
        support: Some(version("functions", &plan.names.support())),
        reader: Some(1),
        schemas: schemas.into_iter().collect(),
        views: views.collect(),
        granted: granted.collect(),
        opened: plan.opened.iter().cloned().collect(),
        way: None,
        creates: true,
        speaks: true,
        major: 15,
    }
}

fn view<'p>(plan: &'p MaskingPlan, schema: &str, name: &str) -> Option<&'p str> {
    let schema = names().schema(schema);
    plan.views.iter().find(|view| view.schema == schema && view.name == name).map(|view| view.sql.as_str())
}

#[test]
fn each_relation_has_the_view_that_fits_it() {
    let plan = plan(|_, _| {});
    let people = view(&plan, "public", "people").unwrap();
    for part in [
        "WITH (security_barrier)",
        r#"  r."id" AS "id""#,
        r#".pseudonym('email', 'email', r."mail"::pg_catalog.text, 2147483647))::text AS "mail""#,
        r#"pg_catalog.scale(r."pay"), 0)))::numeric(10,2) AS "pay""#,
        r#".scrub(r."note"::pg_catalog.text))::text AS "note""#,
        r#"FROM "public"."people" AS r"#,
    ] {
        assert!(people.contains(part), "{part}: {people}");
    }
    let contacts = view(&plan, "public", "contacts").unwrap();
    assert!(contacts.contains(r#"'***'::text AS "l""#), "computed from mail: {contacts}");
    assert!(contacts.contains(r#"AS "mail""#) && contacts.contains(".pseudonym('email'"), "{contacts}");
    assert!(!view(&plan, "public", "orders").unwrap().contains("security_barrier"), "nothing to mask");
    assert!(view(&plan, "shop", "people").is_some());
    assert_eq!(plan.left_out, [LeftOut { relation: "public.fresh".to_owned(), why: LeftOutWhy::Unknown }]);
    assert!(view(&plan, "public", "fresh").is_none());
    let views = plan.views();
    assert!(views.masked.contains(&(20_000, 2)) && views.masked.contains(&(20_004, 1)));
    assert!(!views.masked.contains(&(20_000, 4)), "what is only scrubbed is looked at again on the way");
}

#[test]
fn rights_decide_who_sees_what() {
    let orders = |relation: &CatalogRelation| relation.name == "orders";
    let granted = plan(|relation, column| (column.grantable, column.opens) = (orders(relation), orders(relation)));
    assert!(view(&granted, "public", "orders").is_none());
    assert_eq!(granted.granted, [("public".to_owned(), "orders".to_owned())].into());
    assert_eq!(granted.opened, ["public".to_owned()].into());
    // What holds something to mask is never granted.
    assert!(plan(|_, column| column.grantable = true).views().moved.contains_key(&20_000));

    let partly = plan(|relation, column| column.wanted = relation.name != "people" || column.attribute == 1);
    let people = view(&partly, "public", "people").unwrap();
    assert!(people.contains(r#"AS "id""#) && !people.contains("mail"), "{people}");
    assert!(view(&partly, "shop", "people").is_some());

    let why = |change: fn(&CatalogRelation, &mut ColumnRights)| {
        let plan = plan(change);
        assert!(view(&plan, "public", "orders").is_none());
        plan.left_out.iter().find(|left| left.relation == "public.orders").map(|left| left.why)
    };
    assert_eq!(why(|_, column| column.readable = column.attribute != 2), Some(LeftOutWhy::Unreadable));
    assert_eq!(why(|_, column| column.unfiltered = true), Some(LeftOutWhy::RowSecurity));
    assert_eq!(why(|_, column| column.wanted = false), None);
}

/// A session that is to see mail addresses as they are.
fn revealing() -> Revealing {
    let session = grant(Access::Read, IdentityKind::Person).session;
    Revealing { session, role: "gov_s_it".to_owned(), columns: vec!["public.people.mail".parse().unwrap()] }
}

#[test]
fn a_session_has_views_of_its_own_where_something_is_revealed_to_it() {
    let (plain, one) = (plan(|_, _| {}), revealing());
    let plan = plan_revealing(|_, _| {}, std::slice::from_ref(&one));
    let schema = names().schema_of(one.session, "public");
    let own: Vec<&View> = plan.views.iter().filter(|view| view.reader == one.role).collect();
    assert_eq!(own.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["people", "contacts"]);
    assert!(own.iter().all(|view| view.schema == schema), "{own:?}");
    let [people, contacts] = own.as_slice() else { panic!("{own:?}") };
    assert!(people.sql.contains(r#"r."mail" AS "mail""#) && people.sql.contains("scale(r.\"pay\")"), "{people:?}");
    assert!(contacts.sql.contains(r#"r."l" AS "l""#) && contacts.sql.contains(r#"r."mail" AS "mail""#), "{contacts:?}");
    // Others keep what they have, and get nothing of it.
    assert_eq!(plan.len(), plain.len() + 2);
    let (views, before) = (plan.views(), plain.views());
    assert_eq!((&views.masked, &views.moved, &views.named), (&before.masked, &before.moved, &before.named));
    let sql = plan.changes(&carried_out(&plain), &key()).unwrap();
    assert_eq!(sql.matches(&format!("GRANT SELECT ON \"{schema}\"")).count(), 2, "{sql}");
    assert_eq!(sql.matches("TO \"gov_s_it\"").count(), 3, "{sql}");
    assert!(!sql.contains("DROP") && !sql.contains(&format!("TO {}", quoted(names().reader()))), "{sql}");
    // When it is gone, so are they.
    let after = plain.changes(&carried_out(&plan), &key()).unwrap();
    assert!(after.contains(&format!("DROP SCHEMA \"{schema}\" CASCADE")) && !after.contains("CREATE"), "{after}");

    let path = names().path(&["public".to_owned()], Some(one.session));
    assert_eq!(path, [schema.clone(), names().schema("public"), "public".to_owned()]);
    assert!(
        schema.starts_with(&names().schema_of(one.session, ""))
            && names().of_session(one.session).contains("starts_with")
    );
}

#[test]
fn a_revealed_column_is_not_masked_for_its_session_whatever_its_views_show() {
    let one = revealing();
    let masked = |revealing: &[Revealing]| {
        let views = Arc::new(plan_revealing(|_, _| {}, revealing).views());
        catalog().seen_through(views).revealing(one.session, &one.columns)
    };
    for made in [&[][..], std::slice::from_ref(&one)] {
        let catalog = masked(made);
        assert!(catalog.reveals(20_000, 2) && !catalog.classification.is_masked(20_000, 2));
        assert!(catalog.classification.is_masked(20_000, 3) && catalog.classification.is_masked(20_004, 1));
    }
    // Nor is one that may hold anything, of which others are shown what is left.
    let note = Revealing { columns: vec!["public.people.note".parse().unwrap()], ..revealing() };
    for made in [&[][..], std::slice::from_ref(&note)] {
        let views = Arc::new(plan_revealing(|_, _| {}, made).views());
        let seen = catalog().seen_through(views);
        assert!(seen.classification.is_scrubbed(20_000, 4));
        assert!(!seen.revealing(note.session, &note.columns).classification.is_scrubbed(20_000, 4));
    }
    let moved = |catalog: &Catalog, oid: u32| catalog.masking.as_ref().unwrap().moved.get(&oid).cloned();
    let own = masked(std::slice::from_ref(&one));
    assert_eq!(moved(&own, 20_000), Some(names().schema_of(one.session, "public")));
    assert_eq!(moved(&own, 20_004), Some(names().schema("shop")));
    assert!(!own.classification.is_masked(20_003, 2), "a view of it");
    // Whoever looks an address up there means the address.
    let named = &own.masking.as_ref().unwrap().named;
    assert!(!named.contains_key(&(20_000, 2)) && named.contains_key(&(20_004, 1)));
}

#[test]
fn what_is_there_is_left_alone_and_the_rest_is_brought_to_it() {
    let first = plan(|_, _| {});
    let made = first.changes(&MaskingState { creates: true, ..MaskingState::default() }, &key()).unwrap();
    for part in ["CREATE ROLE", "CREATE SCHEMA", "INSERT INTO", "CREATE VIEW", "GRANT SELECT ON", "COMMENT ON VIEW"] {
        assert!(made.contains(part), "{part}");
    }
    pg_query::parse(&made, 0).unwrap();
    assert_eq!(first.changes(&carried_out(&first), &key()), None);

    let mut other = carried_out(&first);
    for made in other.views.iter_mut().filter(|made| made.name == "orders") {
        made.comment = "of another version".to_owned();
    }
    let orders = names().schema("public");
    let sql = first.changes(&other, &key()).unwrap();
    assert!(sql.contains(&format!("DROP VIEW \"{orders}\".\"orders\"")) && sql.contains("CREATE VIEW"), "{sql}");
    assert!(!sql.contains("\"people\""), "{sql}");

    let granted = plan(|relation, column| column.grantable = relation.name == "orders");
    let sql = granted.changes(&carried_out(&first), &key()).unwrap();
    assert!(sql.contains("GRANT SELECT ON \"public\".\"orders\"") && sql.contains("DROP VIEW"), "{sql}");
    let sql = first.changes(&carried_out(&granted), &key()).unwrap();
    assert!(sql.contains("REVOKE ALL ON \"public\".\"orders\"") && sql.contains("CREATE VIEW"), "{sql}");

    let old = MaskingState { support: Some("gov masking functions 0".to_owned()), ..carried_out(&first) };
    let sql = first.changes(&old, &key()).unwrap();
    assert!(sql.contains("CASCADE") && sql.matches("CREATE VIEW").count() == first.len(), "{sql}");

    let removal = names().removal(&carried_out(&granted));
    pg_query::parse(&removal, 0).unwrap();
    assert!(removal.contains("DROP ROLE") && removal.contains("REVOKE ALL ON \"public\".\"orders\""), "{removal}");
    assert!(!names().removal(&MaskingState::default()).contains("DROP"));
}

#[test]
fn what_a_superuser_runs_is_known_again() {
    let sql = masking_sql("it's \"me\"");
    pg_query::parse(&sql, 0).unwrap();
    assert!(sql.contains("current_database(), 'it''s \"me\"')") && !sql.contains('@'), "{sql}");
    let state = |way: &str| MaskingState { way: Some(way.to_owned()), ..MaskingState::default() };
    let written = sql.split("IS '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert!(state(written).gives_way());
    assert!(!state("gov masking way 0").gives_way() && !MaskingState::default().gives_way());
}

#[test]
fn what_the_reader_may_read_past_its_masks_is_told() {
    let plan = plan(|_, _| {});
    let exposed = |columns: &[(u32, i16)]| plan.exposed(&catalog(), columns);
    assert!(exposed(&[(20_000, 1), (20_001, 2), (20_000, 4)]).is_empty());
    assert_eq!(exposed(&[(20_000, 2), (20_000, 3)]), ["\"public\".\"people\"".to_owned()].into());
}

#[test]
fn the_database_makes_the_pseudonyms_that_we_make() {
    // What the functions of `support.sql` gave for the block of this key on PostgreSQL 15.18.
    let pseudonyms = Pseudonyms::new(&key());
    let check = |entity: &str, form, value: &str, expected: &str| {
        let mut out = Vec::new();
        assert!(pseudonyms.write(detector::named(entity).unwrap(), form, value.as_bytes(), 100, &mut out));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    };
    check("email", detector::Form::Email, "zoe@x.example", "ygsrky1t9qzzyb@masked.invalid");
    check("phone", detector::Form::Phone, "+16288675309", "+999163248580584");
    check("person_name", detector::Form::Word, "Zoe", "person_name_e5bzncbfamjrvx");
    let check = |entity: &str, number: &str, digits: usize, expected: u64| {
        assert_eq!(pseudonyms.numeral(detector::named(entity).unwrap(), number, digits), Some(expected));
    };
    check("phone", "16288675309", 19, 8_889_607_059_898_662_050);
    check("us_ssn", "-0.5", 17, 88_877_562_215_905_053);
    check("card", "4111111111111111", 19, 8_885_122_376_900_491_111);
    check("card", "4111111111111111", 15, 888_866_900_491_111);
    check("card", "1234567", 16, 8_889_362_762_835_923);
}

#[test]
fn names_fit_and_do_not_meet() {
    let other = MaskingNames::new("prod-db", &MaskKey(Secret::new([1; 32])));
    assert_ne!(names(), other);
    assert_ne!(names(), MaskingNames::new("test-db", &key()));
    let (long, longer) = ("s".repeat(60), "s".repeat(61));
    assert!(names().schema(&long).len() <= NAME_MAX && names().schema(&long) != names().schema(&longer));
    assert!(names().schema("ß".repeat(31).as_str()).len() <= NAME_MAX);
    let path = names().path(&["$user".to_owned(), "public".to_owned()], None);
    assert_eq!(path, ["$user".to_owned(), names().schema("public"), "public".to_owned()]);
}

/// The text as the database gets it, with `@` for the schema of the views on `public`.
fn led(text: &str, path: &str) -> String {
    led_as(text, path, &Texts::default().understand(text.as_bytes()))
}

fn led_as(text: &str, path: &str, what: &Understood) -> String {
    let catalog = catalog();
    let masking = plan(|_, _| {}).views();
    let mut scope = Scope::default();
    if !path.is_empty() {
        scope.search_path_is(path);
    }
    let lookups = Lookups { key: Some(&key()), left: 3 };
    let rewritten = rewritten(&catalog, &masking, text.as_bytes(), what, &scope, lookups);
    let text = rewritten.map_or_else(|| text.to_owned(), |rewritten| rewritten.text);
    pg_query::parse(&text, 0).unwrap();
    text.replace(&quoted(&names().schema("public")), "@").replace(&quoted(&names().schema("shop")), "%")
}

#[test]
fn what_texts_share_is_led_to_views_in_each_with_its_own_numbers() {
    let texts = Texts::default();
    let text = |numbers: [&str; 2]| {
        let [one, other] = numbers;
        format!("SELECT public.people.mail FROM public.people WHERE public.people.id = {one} AND id = {other}")
    };
    let (first, second) = (text(["54321", "11"]), text(["12345", "99"]));
    let known = texts.understand(first.as_bytes());
    let what = texts.understand(second.as_bytes());
    assert!(Arc::ptr_eq(&known, &what));
    assert_eq!(led_as(&second, "", &what), second.replace("public.", "@."));
}

#[test]
fn names_are_led_to_views_where_the_path_does_not_lead_them() {
    let check = |text: &str, expected: &str| assert_eq!(led(text, ""), expected);
    check("SELECT * FROM people", "SELECT * FROM people");
    check("SELECT * FROM public.people", "SELECT * FROM @.people");
    check("SELECT * FROM \"public\" . people p", "SELECT * FROM @ . people p");
    check("select public.people.mail, people.* from PUBLIC.people", "select @.people.mail, people.* from @.people");
    check("SELECT 1 FROM public.fresh, shop.people", "SELECT 1 FROM public.fresh, %.people");
    check("WITH p AS (SELECT * FROM public.people) TABLE p", "WITH p AS (SELECT * FROM @.people) TABLE p");
    check(
        "PREPARE a AS SELECT 'public.people' FROM public.orders",
        "PREPARE a AS SELECT 'public.people' FROM @.orders",
    );
    check(
        "SELECT 'ä', '日本' FROM public.people; TABLE public.people",
        "SELECT 'ä', '日本' FROM @.people; TABLE @.people",
    );
    check("COPY people TO STDOUT", "COPY (SELECT * FROM @.\"people\") TO STDOUT");
    check(
        "COPY public.people ( id, \"mail\" ) TO STDOUT (FORMAT csv)",
        "COPY (SELECT \"id\", \"mail\" FROM @.\"people\") TO STDOUT (FORMAT csv)",
    );
    check("COPY people FROM STDIN", "COPY people FROM STDIN");
    // What is not plain is left to the database, which refuses it.
    check("SELECT * FROM U&\"publi\\0063\".people", "SELECT * FROM U&\"publi\\0063\".people");

    let elsewhere = |text: &str, expected: &str| assert_eq!(led(text, "shop"), expected);
    elsewhere("SELECT people.mail FROM people", "SELECT people.mail FROM %.people");
    elsewhere("WITH people AS (SELECT 1) SELECT * FROM people", "WITH people AS (SELECT 1) SELECT * FROM people");
    elsewhere("SELECT * FROM orders", "SELECT * FROM orders");
}

#[test]
fn values_that_somebody_knows_are_looked_up_as_pseudonyms() {
    const ZOE: &str = "'ygsrky1t9qzzyb@masked.invalid'";
    let check = |text: &str| {
        let sent = text.replace('?', "'zoe@x.example'");
        let expected = text.replace("'zoe@x.example'", ZOE).replace('?', "'zoe@x.example'");
        assert_eq!(led(&sent, ""), expected);
    };
    check("SELECT id FROM people WHERE mail = 'zoe@x.example'");
    check(
        "SELECT id FROM people p JOIN orders o USING (id) WHERE p.mail IN ('zoe@x.example') AND 'zoe@x.example'::text = mail",
    );
    check("SELECT id FROM people WHERE note = ? OR mail > ? OR mail = 'ygsrky1t9qzzyb@masked.invalid'");
    // It is not clear whose column it is.
    check("SELECT * FROM people, (SELECT 1 AS mail) s WHERE mail = ?");
    check("WITH people AS (SELECT 'x' AS mail) SELECT * FROM people WHERE mail = ?");
    check("SELECT * FROM contacts c WHERE c.mail = 'zoe@x.example'");
    check("SELECT id FROM people WHERE mail = ANY (ARRAY['zoe@x.example', 'ygsrky1t9qzzyb@masked.invalid']::text[])");
    // Whether there is one is not said.
    check("SELECT EXISTS (SELECT 1 FROM people WHERE mail = ?)");
    check("SELECT mail = ? FROM people");
    // Too many to be one that somebody knows.
    check("SELECT * FROM people WHERE mail IN (?, 'a@x.example', 'b@x.example', 'c@x.example')");
}

#[test]
fn parameters_look_up_as_values_do() {
    let catalog = catalog();
    let masking = plan(|_, _| {}).views();
    let found = |text: &str, value: &str| {
        let what = Texts::default().understand(text.as_bytes());
        let lookups = Lookups { key: Some(&key()), left: 3 };
        let values = [Some(value.as_bytes()), Some(b"x"), None, Some(b"y"), Some(b"z")];
        let values = values.map(|value| Parameter { value, binary: false, kind: 0 });
        looked_up(&catalog, &masking, &what, &Scope::default(), &values, lookups).values
    };
    let zoe = |number: usize| BTreeMap::from([(number, b"ygsrky1t9qzzyb@masked.invalid".to_vec())]);
    let check =
        |text: &str, expected: BTreeMap<usize, Vec<u8>>| assert_eq!(found(text, "zoe@x.example"), expected, "{text}");
    check("SELECT id FROM people WHERE mail = $1", zoe(0));
    check("SELECT id FROM public.people p WHERE $1::text = p.mail AND id = $2", zoe(0));
    check("SELECT id FROM people WHERE mail IN ($1, $3) OR mail = $1", zoe(0));
    // It is used for something else as well, or is nothing that is looked up.
    check("SELECT $1 FROM people WHERE mail = $1", BTreeMap::new());
    check("SELECT id FROM people WHERE note = $1 OR mail > $1", BTreeMap::new());
    check("SELECT EXISTS (SELECT 1 FROM people WHERE mail = $1)", BTreeMap::new());
    check("SELECT id FROM people WHERE mail IN ($1, $2, $4, $5)", BTreeMap::new());
    assert!(found("SELECT id FROM people WHERE mail = $1", "ygsrky1t9qzzyb@masked.invalid").is_empty());
}

/// An array of texts in binary format, as drivers send it.
fn binary_array(elements: &[Option<&str>]) -> Vec<u8> {
    let mut out = Vec::new();
    let nulls = i32::from(elements.contains(&None));
    for number in [1, nulls, 25, i32::try_from(elements.len()).unwrap(), 1] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for element in elements {
        let length = element.map_or(-1, |text| i32::try_from(text.len()).unwrap());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(element.unwrap_or_default().as_bytes());
    }
    out
}

#[test]
fn arrays_look_up_as_lists_do() {
    const ZOE: &str = "ygsrky1t9qzzyb@masked.invalid";
    let catalog = catalog();
    let masking = plan(|_, _| {}).views();
    let found = |text: &str, value: &[u8], binary: bool| {
        let what = Texts::default().understand(text.as_bytes());
        let lookups = Lookups { key: Some(&key()), left: 3 };
        let values = [Parameter { value: Some(value), binary, kind: 0 }];
        looked_up(&catalog, &masking, &what, &Scope::default(), &values, lookups)
    };
    let by = "SELECT id FROM people WHERE mail = ANY($1)";
    let text = |value: &str| {
        let LookedUp { values, lookups } = found(by, value.as_bytes(), false);
        (values.get(&0).map(|value| String::from_utf8(value.clone()).unwrap()), lookups)
    };
    assert_eq!(text("{zoe@x.example}"), (Some(format!("{{{ZOE}}}")), 1));
    assert_eq!(text(&format!("{{NULL,\"zoe@x.example\",{ZOE}}}")), (Some(format!("{{NULL,{ZOE},{ZOE}}}")), 3));
    for nothing in ["{}", "", "zoe@x.example", "{zoe@x.example", "{a@x.example,b@x.example,c@x.example,zoe@x.example}"]
    {
        assert_eq!(text(nothing), (None, 0), "{nothing}");
    }
    let binary = |elements: &[Option<&str>]| found(by, &binary_array(elements), true);
    let LookedUp { values, lookups } = binary(&[Some("zoe@x.example"), None]);
    assert_eq!((values.get(&0), lookups), (Some(&binary_array(&[Some(ZOE), None])), 2));
    assert_eq!(binary(&[]), LookedUp::default());
    assert_eq!(binary(&[Some("zoe@x.example"); 4]), LookedUp::default());
    let whole = binary_array(&[Some("zoe@x.example")]);
    for length in 0..whole.len() {
        assert_eq!(found(by, whole.get(..length).unwrap(), true).values, BTreeMap::new(), "{length}");
    }
    // As a list of single values, and as what is not looked up.
    let zoe = |text: &str| found(text, b"zoe@x.example", false).values.contains_key(&0);
    assert!(zoe("SELECT id FROM people WHERE mail = ANY(ARRAY[$1, 'x'])"));
    assert!(!zoe("SELECT id FROM people WHERE mail <> ALL($1)"));
    assert!(!zoe("SELECT id FROM people WHERE $1 = ANY(ARRAY[mail])"));
    let zoes = |text: &str| found(text, b"{zoe@x.example}", false).values.contains_key(&0);
    assert!(zoes("SELECT id FROM people WHERE mail = ANY($1::text[]) OR mail = ANY ($1)"));
    assert!(!zoes("SELECT id FROM people WHERE mail = ANY($1) OR mail = $1"));
    assert!(!zoes("SELECT id FROM people WHERE mail = ANY($1) AND cardinality($1) > 1"));
    assert!(!zoes("SELECT id FROM people WHERE note = ANY($1)"));
}

#[test]
fn positions_are_led_back() {
    let catalog = catalog();
    let text = "SELECT 'ä', nope FROM public.people WHERE nope";
    let what = Texts::default().understand(text.as_bytes());
    let (views, lookups) = (plan(|_, _| {}).views(), Lookups { key: None, left: 0 });
    let led = rewritten(&catalog, &views, text.as_bytes(), &what, &Scope::default(), lookups).unwrap();
    let place = |text: &str, word: &str| text.rsplit_once(word).unwrap().0.chars().count() + 1;
    for word in ["SELECT", "nope FROM", "people", "WHERE", "nope"] {
        assert_eq!(led.position(place(&led.text, word)), place(text, word), "{word}");
    }
    assert_eq!(led.position(place(&led.text, "\"gov_mask")), place(text, "public"));
    assert_eq!(led.position(10_000), text.chars().count() + 1);
}
