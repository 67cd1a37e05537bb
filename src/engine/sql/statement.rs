//! What each statement does: one entry for every kind of statement the server knows.

use std::collections::HashSet;
use std::sync::Arc;

use pg_query::protobuf::{
    AExprKind, CmdType, DiscardMode, MergeMatchKind, OnConflictAction, TransactionStmtKind, VariableSetKind,
};

use super::compared::Compared;
use super::definition;
use super::fact::{
    Act, Call, Change, Command, Constant, Deed, Discard, Exported, How, Item, Name, Object, Query, Rows, Setting,
    Source, Strange, Transaction, Upsert, Value,
};
use super::occurrence;
use super::query::{Reader, all_of, constant};
use super::tree::{Node, Place, Root, Tree};
use super::{body, copy, path};

/// `CURSOR_OPT_HOLD` of the server's parsenodes.h.
const CURSOR_HOLD: i64 = 0x20;

/// What the statement `root` says. `position` is where its first word stands.
pub(super) fn command(tree: &Arc<Tree>, root: Node<'_>, position: usize) -> Command {
    let mut reading = Reading { tree, position, acts: Vec::new(), visited: HashSet::new(), aside: Vec::new() };
    reading.statement(root);
    let mut command = Command {
        position,
        alone: is_alone(root),
        copies: copy::form(root),
        compared: Compared::of(root),
        root: Root::new(tree, root),
        ..Command::default()
    };
    occurrence::collect(root, &mut command);
    // The net under the match below: a statement that stands anywhere in the tree and was not read is strange.
    let unread = root.all().filter(|node| node.kind().ends_with("Stmt") && !reading.knows(*node));
    command.strange.extend(unread.map(|node| Strange { node: node.kind(), position }));
    command.acts = reading.acts;
    command.acts.extend(settings(root, &command.calls));
    command
}

/// A statement being read.
pub(super) struct Reading<'t> {
    tree: &'t Arc<Tree>,
    position: usize,
    acts: Vec<Act>,
    visited: HashSet<Place>,
    /// Statements that do not run now: what EXPLAIN only plans, the actions of a rule, the body of a function.
    aside: Vec<Node<'t>>,
}

impl<'t> Reading<'t> {
    fn knows(&self, node: Node<'_>) -> bool {
        // Parts of other statements in the shape of a statement.
        const PARTS: [&str; 3] = ["SelectStmt", "ReturnStmt", "ReplicaIdentityStmt"];
        let part_of = |parents: &[&str]| node.parent().is_some_and(|parent| parents.contains(&parent.kind()));
        self.visited.contains(&node.place())
            || self.aside.iter().any(|aside| aside.contains(node))
            || match node.kind() {
                "VariableSetStmt" => {
                    part_of(&["AlterSystemStmt", "AlterRoleSetStmt", "AlterDatabaseSetStmt", "DefElem"])
                }
                "GrantStmt" => part_of(&["AlterDefaultPrivilegesStmt"]),
                "CreateStmt" => part_of(&["CreateForeignTableStmt"]),
                kind => PARTS.contains(&kind),
            }
    }

    pub(super) fn act(&mut self, deed: Deed, at: Option<Node<'t>>) {
        let position = at.and_then(Node::location).unwrap_or(self.position);
        self.acts.push(Act { deed, position });
    }

    pub(super) fn aside(&mut self, node: Node<'t>) {
        self.aside.push(node);
    }

    fn statement(&mut self, node: Node<'t>) {
        self.visited.insert(node.place());
        match node.kind() {
            "SelectStmt" => self.select(node),
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => self.modification(node, &mut Reader::default()),
            "CopyStmt" => self.copy(node),
            "TruncateStmt" => {
                let relations = node.children("relations").map(relation_name).collect();
                self.act(Deed::Truncate { relations }, node.child("relations"));
            }
            "ExplainStmt" => self.explain(node),
            "PrepareStmt" | "DeclareCursorStmt" => self.named(node),
            "ExecuteStmt" => self.act(Deed::Execute { name: node.text("name").into() }, None),
            "DeallocateStmt" => self.act(Deed::Deallocate { name: some_text(node, "name") }, None),
            "FetchStmt" => self.act(Deed::Fetch { cursor: node.text("portalname").into() }, None),
            "ClosePortalStmt" => self.act(Deed::Close { cursor: some_text(node, "portalname") }, None),
            "DoStmt" => self.block(node),
            "CallStmt" => self.act(Deed::Procedure, node.child("funccall")),
            "VariableSetStmt" => self.set(node),
            "VariableShowStmt" => self.act(Deed::Show, None),
            "DiscardStmt" => {
                let discard = match node.choice::<DiscardMode>("target") {
                    DiscardMode::DiscardPlans | DiscardMode::DiscardSequences => Discard::Caches,
                    DiscardMode::DiscardTemp => Discard::Temporary,
                    DiscardMode::DiscardAll | DiscardMode::Undefined => Discard::All,
                };
                self.act(Deed::Discard(discard), None);
            }
            "TransactionStmt" => {
                let transaction = transaction(node);
                self.act(Deed::Transaction(transaction), None);
            }
            // SET CONSTRAINTS only says when they are checked.
            "ConstraintsSetStmt" => self.act(Deed::Show, None),
            "ListenStmt" | "UnlistenStmt" => self.act(Deed::Listen, None),
            "NotifyStmt" => self.act(Deed::Notify, None),
            "CreateTableAsStmt" | "CreateSchemaStmt" | "RuleStmt" | "CreateFunctionStmt" => self.wrapper(node),
            _ => match definition::deeds(node) {
                Some(deeds) => deeds.into_iter().for_each(|(deed, at)| self.act(deed, at)),
                None => {
                    self.visited.remove(&node.place());
                }
            },
        }
    }

    /// SELECT, VALUES, TABLE and SELECT INTO, at the top of what is read.
    fn select(&mut self, node: Node<'t>) {
        let mut reader = Reader::default();
        let query = self.with_modifications(node, &mut reader);
        if let Some(into) = node.child("into_clause") {
            let deed = definition::created(into.child("rel"), "create a table", Object::Table);
            self.act(deed, into.child("rel"));
        } else {
            let locks = node.child("locking_clause").is_some();
            self.act(Deed::Read { query: Box::new(query), locks }, None);
        }
    }

    /// INSERT, UPDATE, DELETE or MERGE, with the modifications in their WITH clauses.
    fn modification(&mut self, node: Node<'t>, reader: &mut Reader<'t>) {
        self.visited.insert(node.place());
        reader.under(node.child("with_clause"), |reader| {
            self.common_modifications(node, reader);
            match node.kind() {
                "InsertStmt" => self.insert(node, reader),
                "MergeStmt" => self.merge(node, reader),
                _ => self.change(node, reader),
            }
        });
    }

    /// A query, and the modifications in its WITH clause.
    fn with_modifications(&mut self, select: Node<'t>, reader: &mut Reader<'t>) -> Query {
        reader.under(select.child("with_clause"), |reader| {
            self.common_modifications(select, reader);
            reader.select(select)
        })
    }

    /// The modifications among the common table expressions of `node`.
    fn common_modifications(&mut self, node: Node<'t>, reader: &mut Reader<'t>) {
        let commons = node.child("with_clause").into_iter().flat_map(|with| with.children("ctes"));
        for common in commons {
            if let Some(query) = common.child("ctequery").filter(|query| query.kind() != "SelectStmt") {
                self.modification(query, reader);
            }
        }
    }

    fn insert(&mut self, node: Node<'t>, reader: &mut Reader<'t>) {
        let select = node.child("select_stmt").filter(|select| select.child("values_lists").is_none());
        let rows = select.map_or(Rows::Listed, |select| Rows::Query(Box::new(self.with_modifications(select, reader))));
        let conflict = node
            .child("on_conflict_clause")
            .filter(|conflict| conflict.choice::<OnConflictAction>("action") == OnConflictAction::OnconflictUpdate);
        let into = node.child("relation");
        let upsert = conflict.map(|conflict| {
            let mut sources = target_source(into);
            sources.extend(sources.first().map(|target| Source { alias: "excluded".into(), ..target.clone() }));
            Box::new(Upsert { sources, condition: conflict.child("where_clause").map(|node| reader.expression(node)) })
        });
        self.act(Deed::Insert { into: into.map_or_else(nameless, relation_name), rows, upsert }, into);
    }

    fn change(&mut self, node: Node<'t>, reader: &mut Reader<'t>) {
        let how = if node.kind() == "UpdateStmt" { How::Update } else { How::Delete };
        let target = node.child("relation");
        let mut conditions = Vec::new();
        let mut sources = target_source(target);
        let joined = node.children("from_clause").chain(node.children("using_clause"));
        sources.extend(reader.sources(joined, &mut conditions));
        conditions.extend(node.child("where_clause").map(|node| reader.expression(node)));
        let change =
            Change { how, target: target.map_or_else(nameless, relation_name), sources, condition: all_of(conditions) };
        self.act(Deed::Change(Box::new(change)), target);
    }

    /// Each WHEN of a MERGE that changes or adds rows is an act of its own.
    fn merge(&mut self, node: Node<'t>, reader: &mut Reader<'t>) {
        let target = node.child("relation");
        let name = target.map_or_else(nameless, relation_name);
        let mut joined = Vec::new();
        let mut sources = target_source(target);
        sources.extend(reader.sources(node.child("source_relation").into_iter(), &mut joined));
        joined.extend(node.child("join_condition").map(|node| reader.expression(node)));
        for when in node.children("merge_when_clauses") {
            let how = match when.choice::<CmdType>("command_type") {
                CmdType::CmdDelete => How::Delete,
                CmdType::CmdUpdate => How::Update,
                CmdType::CmdInsert => {
                    self.act(Deed::Insert { into: name.clone(), rows: Rows::Listed, upsert: None }, target);
                    continue;
                }
                CmdType::CmdNothing => continue,
                // The grammar has no others.
                CmdType::Undefined
                | CmdType::CmdUnknown
                | CmdType::CmdSelect
                | CmdType::CmdMerge
                | CmdType::CmdUtility => How::Delete,
            };
            // What matches nothing in the source is not restricted by the join.
            let matched = when.choice::<MergeMatchKind>("match_kind") == MergeMatchKind::MergeWhenMatched;
            let mut conditions = if matched { joined.clone() } else { Vec::new() };
            conditions.extend(when.child("condition").map(|node| reader.expression(node)));
            let change = Change { how, target: name.clone(), sources: sources.clone(), condition: all_of(conditions) };
            self.act(Deed::Change(Box::new(change)), target);
        }
    }

    fn copy(&mut self, node: Node<'t>) {
        let relation = node.child("relation");
        let query = node.child("query");
        let leaves = match (node.flag("is_program"), node.text("filename")) {
            (true, _) => Some("run a program on the database server"),
            (false, "") => None,
            (false, _) => Some("read or write a file on the database server"),
        };
        if let Some(what) = leaves {
            self.act(Deed::Outside { what }, None);
        }
        match (relation, query) {
            (Some(relation), _) if node.flag("is_from") => {
                self.act(
                    Deed::Insert { into: relation_name(relation), rows: Rows::Client, upsert: None },
                    Some(relation),
                );
            }
            (Some(relation), _) => {
                self.act(Deed::Export { from: Exported::Relation(relation_name(relation)) }, Some(relation));
            }
            (None, Some(query)) if query.kind() == "SelectStmt" => {
                let acts = self.acts.len();
                self.statement(query);
                for act in self.acts.iter_mut().skip(acts) {
                    if let Deed::Read { query, .. } = &mut act.deed {
                        act.deed = Deed::Export { from: Exported::Query(std::mem::take(query)) };
                    }
                }
            }
            (None, query) => query.into_iter().for_each(|query| self.statement(query)),
        }
    }

    fn explain(&mut self, node: Node<'t>) {
        let analyze = option(node.children("options"), "analyze");
        self.act(Deed::Explain, None);
        let Some(query) = node.child("query") else { return };
        if analyze {
            self.statement(query);
        } else {
            self.aside(query);
        }
    }

    /// PREPARE and DECLARE: what they name is judged now and remembered for later.
    fn named(&mut self, node: Node<'t>) {
        let Some(query) = node.child("query") else { return };
        let inner = Arc::new(command(self.tree, query, self.position));
        self.statement(query);
        let deed = match node.kind() {
            "PrepareStmt" => Deed::Prepare { name: node.text("name").into(), statement: inner },
            _ => Deed::Declare {
                cursor: node.text("portalname").into(),
                query: inner,
                hold: node.integer("options") & CURSOR_HOLD != 0,
            },
        };
        self.act(deed, None);
    }

    fn block(&mut self, node: Node<'t>) {
        let argument = |name: &str| {
            let found = node.children("args").find(|argument| argument.text("defname") == name);
            found.and_then(|argument| argument.child("arg")).map_or("", |arg| arg.text("sval"))
        };
        let language = match argument("language") {
            "" => "plpgsql",
            language => language,
        };
        let statements =
            if language == "plpgsql" { body::statements(argument("as"), self.position) } else { Vec::new() };
        self.act(Deed::Block { language: language.into(), statements }, None);
    }

    /// Definitions that hold other statements.
    fn wrapper(&mut self, node: Node<'t>) {
        for (deed, at) in definition::deeds(node).unwrap_or_default() {
            self.act(deed, at);
        }
        match node.kind() {
            "CreateSchemaStmt" => node.children("schema_elts").for_each(|element| self.statement(element)),
            // Rows are read and stored; only statements that do more than that count for themselves.
            "CreateTableAsStmt" => match node.child("query") {
                Some(query) if query.kind() == "SelectStmt" => {
                    self.with_modifications(query, &mut Reader::default());
                }
                Some(query) => self.statement(query),
                None => {}
            },
            _ => self.aside(node),
        }
    }

    fn set(&mut self, node: Node<'t>) {
        let kind = node.choice::<VariableSetKind>("kind");
        let name = node.text("name").to_ascii_lowercase();
        let local = node.flag("is_local");
        let value = match kind {
            VariableSetKind::VarResetAll => return self.act(Deed::ResetAll, None),
            VariableSetKind::VarSetMulti => return self.set_transaction(node, &name),
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => Value::Default,
            VariableSetKind::VarSetValue => words(node.children("args")),
            VariableSetKind::VarSetCurrent | VariableSetKind::Undefined => Value::Unknown,
        };
        self.act(Deed::Set(Setting { name: Some(name.into()), value, local, certain: true }), Some(node));
    }

    /// SET TRANSACTION and SET SESSION CHARACTERISTICS: each mode is a parameter.
    fn set_transaction(&mut self, node: Node<'t>, name: &str) {
        let session = name == "session characteristics";
        let prefix = if session { "default_" } else { "" };
        for option in node.children("args").filter(|option| option.kind() == "DefElem") {
            let name = format!("{prefix}{}", option.text("defname"));
            let value = words(option.children("arg"));
            self.act(Deed::Set(Setting { name: Some(name.into()), value, local: !session, certain: true }), None);
        }
        // SET TRANSACTION SNAPSHOT only chooses what is seen.
        self.act(Deed::Show, None);
    }
}

/// Whether the server refuses to run a statement inside a transaction block.
fn is_alone(node: Node<'_>) -> bool {
    match node.kind() {
        "VacuumStmt" => node.flag("is_vacuumcmd"),
        "IndexStmt" | "DropStmt" => node.flag("concurrent"),
        "ReindexStmt" => node.child("relation").is_none() || option(node.children("params"), "concurrently"),
        "ClusterStmt" => node.child("relation").is_none(),
        "DiscardStmt" => node.choice::<DiscardMode>("target") == DiscardMode::DiscardAll,
        "CreatedbStmt" | "DropdbStmt" | "AlterSystemStmt" | "CreateTableSpaceStmt" | "DropTableSpaceStmt" => true,
        "CreateSubscriptionStmt" | "AlterSubscriptionStmt" | "DropSubscriptionStmt" => true,
        "AlterTableStmt" => node
            .children("cmds")
            .any(|command| command.child("def").is_some_and(|definition| definition.flag("concurrent"))),
        _ => false,
    }
}

/// The parameters set by calls of `set_config`.
fn settings(root: Node<'_>, calls: &[Call]) -> Vec<Act> {
    let is_setting = |call: &&Call| {
        &*call.name.name == "set_config" && call.name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
    };
    // Once for sure: `SELECT set_config(…)` and nothing else.
    let certain = root.kind() == "SelectStmt"
        && root.nodes().all(|node| {
            node.field() == "target_list" && node.child("val").is_some_and(|value| value.kind() == "FuncCall")
        });
    let listed = listed_setting(root).filter(|_| calls.len() == 1);
    let setting = |call: &Call| {
        let (name, value, local) = match call.arguments.as_slice() {
            [Constant::Text(name), value, local] => (Some(name.to_ascii_lowercase()), value, local),
            [Constant::Unknown, value, local] => (listed.as_ref().map(|name| name.to_ascii_lowercase()), value, local),
            _ => (None, &Constant::Unknown, &Constant::Unknown),
        };
        let value = match (&name, value) {
            (Some(name), Constant::Text(text)) if name == "search_path" => path::words(text),
            (_, Constant::Text(text)) => Value::Words(vec![text.clone()]),
            (_, Constant::Integer(number)) => Value::Words(vec![number.to_string().into()]),
            (_, Constant::Null) => Value::Default,
            (_, Constant::Boolean(_) | Constant::Unknown) => Value::Unknown,
        };
        let certain = certain && matches!(local, Constant::Boolean(_));
        let local = *local == Constant::Boolean(true);
        let setting = Setting { name: name.map(Into::into), value, local, certain };
        Act { deed: Deed::Set(setting), position: call.position }
    };
    calls.iter().filter(is_setting).map(setting).collect()
}

/// The one name there can be in `SELECT set_config(name, …) FROM pg_settings WHERE name = '…'`, which is how pg_dump
/// sets a parameter that the server may not have.
fn listed_setting(root: Node<'_>) -> Option<Box<str>> {
    let only = |field: &'static str| {
        let mut children = root.children(field);
        children.next().filter(|_| children.next().is_none())
    };
    let is_name = |node: Node<'_>| node.kind() == "ColumnRef" && node.words("fields").eq(["name"]);
    let source = only("from_clause").filter(|source| source.kind() == "RangeVar")?;
    let listed = matches!(source.text("schemaname"), "" | "pg_catalog") && source.text("relname") == "pg_settings";
    let call = only("target_list")?.child("val").filter(|value| value.kind() == "FuncCall")?;
    let test = root.child("where_clause").filter(|test| test.choice::<AExprKind>("kind") == AExprKind::AexprOp)?;
    let equal = test.kind() == "AExpr" && test.words("name").eq(["="]) && test.child("lexpr").is_some_and(is_name);
    match constant(test.child("rexpr")?) {
        Constant::Text(name) if listed && equal && call.children("args").next().is_some_and(is_name) => Some(name),
        _ => None,
    }
}

/// The words a parameter is set to.
fn words<'t>(arguments: impl Iterator<Item = Node<'t>>) -> Value {
    let word = |node: Node<'_>| match constant(node) {
        Constant::Text(text) => Some(text),
        Constant::Integer(number) => Some(number.to_string().into()),
        Constant::Boolean(value) => Some(if value { "on" } else { "off" }.into()),
        Constant::Null | Constant::Unknown => None,
    };
    arguments.map(word).collect::<Option<Vec<_>>>().map_or(Value::Unknown, Value::Words)
}

fn transaction(node: Node<'_>) -> Transaction {
    let chain = node.flag("chain");
    let savepoint = node.text("savepoint_name");
    match node.choice::<TransactionStmtKind>("kind") {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => {
            Transaction::Begin { read_only: read_only(node.children("options")) }
        }
        TransactionStmtKind::TransStmtCommit => Transaction::Commit { chain },
        TransactionStmtKind::TransStmtRollback => Transaction::Rollback { chain },
        TransactionStmtKind::TransStmtSavepoint => Transaction::Savepoint(savepoint.into()),
        TransactionStmtKind::TransStmtRelease => Transaction::Release(savepoint.into()),
        TransactionStmtKind::TransStmtRollbackTo => Transaction::RollbackTo(savepoint.into()),
        TransactionStmtKind::TransStmtPrepare
        | TransactionStmtKind::TransStmtCommitPrepared
        | TransactionStmtKind::TransStmtRollbackPrepared
        | TransactionStmtKind::Undefined => Transaction::TwoPhase,
    }
}

/// READ ONLY or READ WRITE among the options of a transaction; the last one wins.
fn read_only<'t>(options: impl Iterator<Item = Node<'t>>) -> Option<bool> {
    let options = options.filter(|option| option.text("defname") == "transaction_read_only");
    options.last().map(|option| option.child("arg").is_some_and(|arg| constant(arg) != Constant::Integer(0)))
}

/// Whether an option in parentheses is switched on, as the server reads it: the last one wins, without a value it is
/// on, and what is no known word for off is taken for on.
pub(super) fn option<'t>(options: impl Iterator<Item = Node<'t>>, name: &str) -> bool {
    let mut on = false;
    for option in options.filter(|option| option.text("defname").eq_ignore_ascii_case(name)) {
        on = match option.child("arg").map(constant) {
            None => true,
            Some(Constant::Integer(number)) => number != 0,
            Some(Constant::Boolean(value)) => value,
            Some(Constant::Text(word)) => !["false", "off", "no", "0"].iter().any(|off| word.eq_ignore_ascii_case(off)),
            Some(Constant::Null | Constant::Unknown) => true,
        };
    }
    on
}

pub(super) fn relation_name(relation: Node<'_>) -> Name {
    Name::new(relation.text("schemaname"), relation.text("relname"))
}

fn nameless() -> Name {
    Name::bare("")
}

fn target_source(target: Option<Node<'_>>) -> Vec<Source> {
    let source = |target: Node<'_>| Source {
        alias: target.child("alias").map_or_else(|| target.text("relname"), |alias| alias.text("aliasname")).into(),
        item: Item::Relation(relation_name(target)),
        columns: Vec::new(),
    };
    target.map(source).into_iter().collect()
}

fn some_text(node: Node<'_>, field: &'static str) -> Option<Box<str>> {
    Some(node.text(field)).filter(|text| !text.is_empty()).map(Into::into)
}
