//! What scripts rely on: the form of `gov exec --format json` as the manual page states it, against real output.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Sandbox, postgres, repository, tool};

/// The schema in the manual page.
fn schema(sandbox: &Sandbox) -> Value {
    let page = sandbox.gov(["man", "exec"]).ok().stdout;
    let text = page.split_once(".SH JSON SCHEMA\n.nf\n").unwrap().1.split_once("\n.fi").unwrap().0;
    serde_json::from_str(&text.replace("\\-", "-").replace("\\\\", "\\")).unwrap()
}

/// Whether each document is of a schema, by a validator that is not ours (npm `ajv`).
fn valid(schema: &Value, documents: &Value) -> Vec<bool> {
    let script = "const {createRequire} = await import('node:module');
        const require = createRequire(process.argv[1]);
        const Ajv = require('ajv/dist/2020');
        const [schema, documents] = JSON.parse(await new Response(process.stdin).text());
        const check = new Ajv.default({strict: false}).compile(schema);
        console.log(JSON.stringify(documents.map((document) => check(document))));";
    let place = repository().join("tests/it/mcp/client.mjs");
    assert!(place.with_file_name("node_modules").is_dir(), "a validator is missing; run: tests/install");
    let mut child = Command::new(tool("node", "nodejs"))
        .args(["--input-type=module", "-e", script])
        .arg(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &json!([schema, documents])).unwrap();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn json_is_of_the_form_that_the_manual_states() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let resource = database.resource("dev-db", &sandbox.home, "env=dev");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    let statements = [
        "select * from customers order by id",
        "select * from orders where false",
        "select null as n, true as t, 1::int2 as a, 9007199254740993::int8 as b, 1.5::float8 as c, 'NaN'::numeric as d, \
         '[1, {\"a\": null}]'::jsonb as e, '{}'::json as f, now() as g, '{1,2}'::int[] as h, 'x' as x, 'y' as x",
    ];
    let mut documents = Vec::new();
    for target in ["dev-db", "dev-db,"] {
        for sql in statements {
            let ran = sandbox.gov(["exec", target, "--format", "json", "-c", sql]).ok();
            documents.push(ran.json());
            let lines = sandbox.gov(["exec", target, "--format", "ndjson", "-c", sql]).ok().stdout;
            documents.push(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect());
        }
    }
    assert_eq!(documents[4][0]["x_2"], "y");
    assert_eq!(documents[4][0]["e"], json!([1, {"a": null}]));
    let schema = schema(&sandbox);
    assert_eq!(valid(&schema, &json!(documents)), vec![true; documents.len()]);
    // What is not of the form is seen to be so.
    assert_eq!(valid(&schema, &json!([{}, [1], [[1]], "x", []])), [false, false, false, false, true]);
}
