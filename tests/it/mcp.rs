//! `gov mcp` against the official client, first as it should be used, then as it should not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Sandbox, postgres, repository, tool};

const CONFIG: &str = "
server: { listen: '127.0.0.1:0', data: server }
purposes:
  analytics.report: { description: Numbers for the weekly report, access: read }
  incident: { description: Repair production }
agents:
  report-bot:
    owner: dave
    charter: charter.md
    who: { group: [engineering, dba] }
    purposes: [analytics.report]
access:
  - { who: { group: engineering }, labels: { env: prod }, access: read }
  - { who: { group: dba }, labels: { env: prod }, access: write }
";

/// A server with a database, and somebody logged in.
fn sandbox(user: &str) -> (Sandbox, postgres::Database) {
    let mut sandbox = Sandbox::new();
    sandbox.write("gov.yaml", CONFIG);
    sandbox.write("charter.md", "Makes the weekly report. Reads, never writes.\n");
    let database = postgres::server().database();
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--config", "gov.yaml", "--resource", &resource]);
    sandbox.log_in(user);
    (sandbox, database)
}

/// The official client, with `gov mcp` behind it.
struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Agent {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let client = repository().join("tests/it/mcp/client.mjs");
        assert!(client.with_file_name("node_modules").is_dir(), "the official client is missing; run: tests/install");
        let gov = sandbox.command([&["mcp", "prod-db"], arguments].concat());
        let mut node = Command::new(tool("node", "nodejs"));
        node.arg(client).arg(gov.get_program()).args(gov.get_args());
        node.env_clear().envs(gov.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = std::fs::File::create(sandbox.home.join("mcp.log")).unwrap();
        let mut child =
            node.current_dir(&sandbox.home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn reporting(sandbox: &Sandbox) -> Self {
        Self::start(sandbox, &["--agent", "report-bot", "--purpose", "analytics.report"])
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{request}: {line:?}"))
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
    fn call(&mut self, name: &str, arguments: Value) -> Value {
        self.ask(&json!({ "call": name, "arguments": arguments }))
    }

    /// What a call that works gives.
    fn given(&mut self, name: &str, arguments: Value) -> Value {
        let found = self.call(name, arguments);
        assert_eq!(found["isError"], false, "{found}");
        found["structuredContent"].clone()
    }

    /// Why a call was refused: the kind, and what was said.
    #[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
    fn refused(&mut self, name: &str, arguments: Value) -> (String, String) {
        let found = self.call(name, arguments.clone());
        assert_eq!(found["isError"], true, "{name} {arguments}: {found}");
        let body: Value = serde_json::from_str(found["content"][0]["text"].as_str().unwrap()).unwrap();
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("kind"), format!("{} {} {}", text("message"), text("detail"), text("hint")))
    }

    /// The end of the agent's program; `gov mcp` ends its sessions then.
    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn an_agent_is_masked_refused_and_told_why() {
    let (sandbox, _database) = sandbox("alice");
    let mut agent = Agent::reporting(&sandbox);
    let tools = agent.ask(&json!({ "list": true }));
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["list_resources", "describe_schema", "query", "explain", "request_approval", "request_status"]);

    let list = agent.given("list_resources", json!({}));
    assert_eq!(list["resources"][0]["name"], "prod-db");
    assert_eq!(
        list["resources"][0]["ways"],
        json!([{"access": "read", "purposes": ["analytics.report"], "ttl_seconds": 3600}])
    );

    let schema = agent.given("describe_schema", json!({ "table": "customers" }));
    let columns = schema["tables"][0]["columns"].as_array().unwrap().clone();
    let column = |name: &str| columns.iter().find(|column| column["name"] == name).unwrap();
    assert_eq!((column("id")["type"].as_str(), column("id").get("masked")), (Some("integer"), None));
    assert_eq!(column("email")["masked"], "email");

    let found = agent.given(
        "query",
        json!({
            "sql": "select id, email, country from customers where id <= $1 order by id", "parameters": [2]
        }),
    );
    assert_eq!(found["row_count"], 2);
    assert_eq!(found["masked_columns"], json!(["email"]));
    assert_eq!(found["masking"], "on-wire (reduced guarantee)");
    assert!(!found.to_string().contains("mail.example.org"), "{found}");
    assert_eq!(found["rows"][1][0], 2);
    assert_eq!(found["tag"], "SELECT 2");
    assert_eq!(found.get("notices"), None);
    let long = agent.given("query", json!({ "sql": format!("select 1 as {}", "x".repeat(70)) }));
    assert!(long["notices"][0].as_str().is_some_and(|notice| notice.starts_with("identifier ")), "{long}");

    // A page at a time; a cursor works once.
    let mut page = agent.given("query", json!({ "sql": "select id from orders order by id", "limit": 40 }));
    let mut seen: Vec<Value> = page["rows"].as_array().unwrap().clone();
    while let Some(cursor) = page["next_cursor"].as_str().map(str::to_owned) {
        page = agent.given("query", json!({ "cursor": cursor, "limit": 40 }));
        seen.extend(page["rows"].as_array().unwrap().clone());
        assert_eq!(agent.refused("query", json!({ "cursor": cursor })).0, "not_found");
    }
    assert_eq!(seen, (1..=100).map(|id| json!([id])).collect::<Vec<_>>());

    let (kind, said) = agent.refused("query", json!({ "sql": "delete from orders" }));
    assert!(kind == "denied" && said.contains("Rule: read_only"), "{said}");
    let explained = agent.given("explain", json!({ "sql": "drop table orders" }));
    assert_eq!((explained["verdict"].as_str(), explained["rule"].as_str()), (Some("deny"), Some("destructive_ddl")));
    assert!(explained["hint"].as_str().is_some());
    assert_eq!(agent.given("explain", json!({ "sql": "select 1" }))["verdict"], "allow");

    let sessions = sandbox.gov(["session", "ls"]).ok().stdout;
    assert!(sessions.contains("Alice Ames through report-bot") && sessions.contains("analytics.report"), "{sessions}");
    agent.end();
    let sessions = sandbox.gov(["session", "ls"]).ok();
    assert!(sessions.stderr.contains("No session is open"), "{sessions:?}");
}

/// Each of these is something an agent might do because somebody told it to, in a ticket, a row or a web page. None may
/// give it more than what the person, the agent and the purpose have in common.
#[test]
fn an_agent_that_misbehaves_gets_nothing_more() {
    let (sandbox, database) = sandbox("bob");
    let mut agent = Agent::reporting(&sandbox);
    let long = "x".repeat(300 * 1024);
    let attempts: &[(&str, &str, Value, &str)] = &[
        // Bob may write; through this agent he may not.
        ("a write", "query", json!({"sql": "update orders set status = 'paid' where id = 1"}), "denied"),
        (
            "a write in a read",
            "query",
            json!({"sql": "with d as (delete from orders returning *) select * from d"}),
            "denied",
        ),
        ("a way out of reading", "query", json!({"sql": "set transaction read write"}), "denied"),
        ("another role", "query", json!({"sql": "set role app_rw"}), "denied"),
        ("the whole table, out", "query", json!({"sql": "copy orders to stdout"}), "denied"),
        ("a file of the server", "query", json!({"sql": "select pg_read_file('/etc/passwd')"}), "denied"),
        ("another database", "query", json!({"sql": "select * from dblink('x', 'select 1') as t(a int)"}), "denied"),
        ("two statements in one", "query", json!({"sql": "select 1; drop table orders"}), "denied"),
        ("a comment that closes", "query", json!({"sql": "select 1 -- \n; drop table orders"}), "denied"),
        (
            "SQL as a value",
            "query",
            json!({"sql": "select id from orders where status = $1", "parameters": ["x'; drop table orders; --"]}),
            "",
        ),
        ("too few values", "query", json!({"sql": "select $1::int"}), "usage"),
        ("too many rows", "query", json!({"sql": "select 1", "limit": 1_000_000}), "usage"),
        ("no rows", "query", json!({"sql": "select 1", "limit": 0}), "usage"),
        ("a limit below nothing", "query", json!({"sql": "select 1", "limit": -1}), "usage"),
        ("a limit that is misspelt", "query", json!({"sql": "select 1", "limt": 5}), "usage"),
        ("a purpose of its own", "query", json!({"sql": "select 1", "purpose": "incident"}), "usage"),
        ("an agent of its own", "query", json!({"sql": "select 1", "agent": "ghost"}), "usage"),
        ("access of its own", "query", json!({"sql": "select 1", "access": "write"}), "usage"),
        ("another resource", "query", json!({"sql": "select 1", "resource": "other-db"}), "not_found"),
        ("a resource that is a path", "query", json!({"sql": "select 1", "resource": "../../v1/me"}), "not_found"),
        ("another's cursor", "query", json!({"cursor": "01m8200000000000000000000r"}), "not_found"),
        ("both at once", "query", json!({"sql": "select 1", "cursor": "x"}), "usage"),
        ("neither", "query", json!({}), "usage"),
        ("a number for a text", "query", json!({"sql": 7}), "usage"),
        ("a very long statement", "query", json!({"sql": format!("select '{long}'")}), "usage"),
        ("a very long page", "query", json!({"sql": "select repeat('x', 2000000)"}), "limit"),
        ("an explanation with more", "explain", json!({"sql": "select 1", "approve": true}), "usage"),
        ("a schema by injection", "describe_schema", json!({"table": "x' or '1'='1"}), ""),
    ];
    for (what, name, arguments, kind) in attempts {
        if kind.is_empty() {
            let found = agent.given(name, arguments.clone());
            assert!(found["rows"] == json!([]) || found["tables"] == json!([]), "{what}: {found}");
        } else {
            let refused = agent.refused(name, arguments.clone());
            assert_eq!(refused.0, *kind, "{what}: {refused:?}");
        }
    }
    // Tools there are none of, and tools of the same name in other letters.
    for name in ["approve", "Query", "shell", ""] {
        let found = agent.call(name, json!({}));
        assert_eq!(found["error"]["code"], -32602, "{name}: {found}");
    }
    // What is not the protocol at all; the conversation goes on.
    for raw in [r#"{"jsonrpc": "2.0""#, "DROP TABLE orders", r#"{"jsonrpc":"2.0","method":"notifications/approved"}"#] {
        agent.ask(&json!({ "raw": raw }));
    }
    agent.ask(&json!({ "raw": "x".repeat(3 << 20) }));
    assert_eq!(agent.given("query", json!({"sql": "select 1"}))["rows"], json!([[1]]));
    // All at once, and each its own answer.
    let together: Vec<_> = (0..40)
        .map(|index| json!({"call": "query", "arguments": {"sql": "select $1::int", "parameters": [index]}}))
        .collect();
    let found = agent.ask(&json!({ "together": together }));
    for (index, found) in found.as_array().unwrap().iter().enumerate() {
        assert_eq!(found["structuredContent"]["rows"], json!([[index]]), "{found}");
    }
    // A call that is not wanted any more stops in the database too.
    let slow = json!({"call": "query", "arguments": {"sql": "select count(*) from generate_series(1, 9000000) a where a % 7 = pg_backend_pid()"}});
    agent.ask(&json!({ "cancel": slow, "after_ms": 300 }));
    assert_eq!(agent.given("query", json!({"sql": "select 2"}))["rows"], json!([[2]]));

    let left = postgres::server().run(&database.name, "select count(*), min(status), max(status) from orders");
    assert_eq!(left, "100|open|open");
    agent.end();
}

/// Who the agent is, is decided by the server: what it calls itself is nothing.
#[test]
fn a_forged_actor_gets_nothing() {
    let (sandbox, _database) = sandbox("alice");
    for (arguments, kind, said) in [
        (&["--agent", "ghost", "--purpose", "analytics.report"][..], "denied", "no agent `ghost`"),
        (&["--agent", "report-bot"], "denied", "needs a purpose"),
        (&["--agent", "report-bot", "--purpose", "incident"], "denied", "not open to you for the purpose `incident`"),
        (&["--agent", "report-bot", "--purpose", "analytics.report", "--write"], "denied", "for reading only"),
    ] {
        let mut agent = Agent::start(&sandbox, arguments);
        let refused = agent.refused("query", json!({"sql": "select 1"}));
        assert!(refused.0 == kind && refused.1.contains(said), "{arguments:?}: {refused:?}");
        agent.end();
    }
}

const HELD: &str = "
server: { listen: '127.0.0.1:0', data: server }
purposes:
  incident: { description: Repair production, limits: { session: { statements: 50 }, day: { rows: 1000 } } }
agents:
  fixer: { owner: carol, charter: charter.md, who: { group: dba }, purposes: [incident], access: write }
access:
  - { who: { group: dba }, labels: { env: prod }, access: write }
approvals: { approvers: [approver] }
policy:
  cases:
    - { name: agents ask before they change, if: { kind: agent, operation: [update, delete] }, then: hold }
";

/// An agent asks, waits for a person, and then runs what was approved: the very same, once.
#[test]
fn an_agent_asks_people_and_runs_what_they_approved() {
    let mut sandbox = Sandbox::new();
    sandbox.write("gov.yaml", HELD);
    sandbox.write("charter.md", "Repairs orders.\n");
    let database = postgres::server().database();
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--config", "gov.yaml", "--resource", &resource]);
    sandbox.log_in("bob");
    // Dave decides, on a machine of his own.
    let dave = Sandbox::new();
    dave.log_in_at(&sandbox, "dave");

    let mut agent = Agent::start(&sandbox, &["--agent", "fixer", "--purpose", "incident", "--write"]);
    let statement = |id: u32| json!({"sql": "update orders set status = $1 where id = $2", "parameters": ["paid", id]});
    let with = |id: u32, approval: &str| {
        let mut arguments = statement(id);
        arguments["approval"] = approval.into();
        arguments
    };
    let (kind, said) = agent.refused("query", statement(7));
    assert!(kind == "pending" && said.contains("request_status"), "{kind}: {said}");

    let asked = agent.given("request_approval", statement(8));
    assert_eq!(asked["needed"], true, "{asked}");
    let id = asked["approval"].as_str().unwrap().to_owned();
    assert_eq!(agent.given("request_status", json!({"approval": id}))["state"], "pending");
    // Not before somebody agreed, not by the agent, not by whoever it acts for.
    assert_eq!(agent.refused("query", with(8, &id)).0, "pending");
    assert_eq!(sandbox.gov(["approval", "approve", &id]).code, 3);
    dave.gov(["approval", "approve", &id]).ok();
    assert_eq!(agent.given("request_status", json!({"approval": id}))["state"], "approved");

    // Another value is another statement.
    let (kind, said) = agent.refused("query", with(9, &id));
    assert!(!kind.is_empty(), "{said}");
    let done = agent.given("query", with(8, &id));
    assert_eq!(done["tag"], "UPDATE 1");
    let left = done["budget"].as_array().unwrap();
    let of = |of: &str| left.iter().find(|left| left["of"] == of).unwrap_or_else(|| panic!("{left:?}")).clone();
    assert_eq!((&of("session")["what"], &of("session")["limit"]), (&json!("statements"), &json!(50)));
    assert!(of("session")["left"].as_u64().unwrap() < 50, "{left:?}");
    assert_eq!(of("day")["limit"], 1000);
    assert_ne!(agent.refused("query", with(8, &id)).0, "", "it works once");
    let paid =
        postgres::server().run(&database.name, "select string_agg(id::text, ',') from orders where status = 'paid'");
    assert_eq!(paid, "8");

    // Where nobody needs to agree, nobody is asked; where nobody may, that is said.
    assert_eq!(agent.given("request_approval", json!({"sql": "select 1"}))["needed"], false);
    assert_eq!(agent.refused("request_approval", json!({"sql": "drop table orders"})).0, "denied");
    assert_eq!(agent.refused("request_status", json!({"approval": "01m8200000000000000000000r"})).0, "not_found");
    assert_eq!(agent.refused("request_status", json!({"approval": "../sessions"})).0, "not_found");
    assert_eq!(agent.refused("query", with(8, "x")).0, "usage");

    // What is left is shown to the person too.
    let status = sandbox.gov(["status"]).ok().stdout;
    assert!(status.contains("budget    prod-db, session "), "{status}");
    agent.end();
}
