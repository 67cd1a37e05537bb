//! What the code of a trigger or a rule writes where, as far as its text says, and what the values come from.
//!
//! The code runs with the rights of whoever wrote it and nobody asks us before: what it has read stands in tables then
//! that say nothing of where it came from. It is read as words, not as a program: which way it goes, what its variables
//! hold and what the functions it calls return is not followed. What was not understood may come from anything that the
//! code has before it.

use std::collections::BTreeSet;

use pg_query::protobuf::{AExprKind, Token};

use super::TEXT_MAX;
use super::token::Tokens;
use super::tree::{Node, Tree};
use crate::engine::builtin::{self, Class};

/// What is known of some code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Code {
    pub(in crate::engine) fillings: Vec<Filling>,
    /// Every word of it, also those in its texts, in small letters: whatever it reads, writes or calls is among them.
    pub(in crate::engine) words: BTreeSet<String>,
    /// It runs text that it makes, or is in a language that is not read here: it may write to anything that it names.
    pub(in crate::engine) opaque: bool,
}

/// Something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Filling {
    /// The schema, if it is said, and the name of the relation; nothing when it is the row that the code was called for.
    pub(in crate::engine) into: Option<(String, String)>,
    pub(in crate::engine) place: Place,
    pub(in crate::engine) taken: Taken,
}

/// The column that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Place {
    Named(String),
    /// The relation's columns in their order, from 0.
    Nth(usize),
    Any,
}

/// What a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Taken {
    /// Columns of the row that the code was called for.
    pub(in crate::engine) fields: BTreeSet<String>,
    /// The whole of that row.
    pub(in crate::engine) row: bool,
    /// Whatever the code has before it.
    pub(in crate::engine) anything: bool,
}

impl Taken {
    pub(in crate::engine) const ANYTHING: Self = Self { fields: BTreeSet::new(), row: true, anything: true };

    fn is_empty(&self) -> bool {
        !self.row && !self.anything && self.fields.is_empty()
    }

    fn and(mut self, other: Self) -> Self {
        self.fields.extend(other.fields);
        self.row |= other.row;
        self.anything |= other.anything;
        self
    }
}

/// Reads PL/pgSQL, SQL, or the text of a rule. The thread needs [`super::STACK`] bytes of stack.
pub(in crate::engine) fn code(text: &str) -> Code {
    let scanned = if text.len() <= TEXT_MAX { Tokens::scan(text).ok() } else { None };
    let Some(scanned) = scanned else { return unread(text) };
    let words: Vec<Word<'_>> = scanned.each().map(|(token, text, start)| Word { token, text, start }).collect();
    let reading = Reading { text, words: &words };
    let mut code = Code { words: words_in(text), ..Code::default() };
    for at in 0..words.len() {
        code.opaque |= reading.runs_text(at);
        code.fillings.extend(reading.fills(at));
    }
    code.fillings.retain(|filling| !filling.taken.is_empty());
    code
}

/// Code in a language that is not read here: known are the words in it.
pub(in crate::engine) fn unread(text: &str) -> Code {
    Code { fillings: Vec::new(), words: words_in(text), opaque: true }
}

fn words_in(text: &str) -> BTreeSet<String> {
    let pieces = text.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '$'));
    // A name in quotes may have anything in it.
    let quoted = text.split('"').skip(1).step_by(2);
    pieces.chain(quoted).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[derive(Clone, Copy, Debug)]
struct Word<'t> {
    token: Token,
    text: &'t str,
    start: usize,
}

impl Word<'_> {
    /// The name that it is, if it is one.
    fn name(&self) -> Option<String> {
        match self.text.strip_prefix('"') {
            Some(quoted) => Some(quoted.strip_suffix('"')?.replace("\"\"", "\"")),
            None => self
                .text
                .starts_with(|first: char| first.is_alphabetic() || first == '_')
                .then(|| self.text.to_lowercase()),
        }
    }
}

/// Code as words.
#[derive(Clone, Copy, Debug)]
struct Reading<'t> {
    text: &'t str,
    words: &'t [Word<'t>],
}

impl<'t> Reading<'t> {
    fn token(&self, at: usize) -> Token {
        self.words.get(at).map_or(Token::Nul, |word| word.token)
    }

    fn before(&self, at: usize) -> Token {
        at.checked_sub(1).map_or(Token::Nul, |before| self.token(before))
    }

    fn name(&self, at: usize) -> Option<String> {
        self.words.get(at)?.name()
    }

    /// Whether text is run here that the code makes.
    fn runs_text(&self, at: usize) -> bool {
        match self.token(at) {
            Token::Execute => !matches!(self.token(at + 1), Token::Function | Token::Procedure),
            _ => {
                let reaches = |name: &str| {
                    matches!(builtin::class(name), Some(Class::RunsText | Class::Exports | Class::Outside))
                };
                self.token(at + 1) == Token::Ascii40 && self.name(at).is_some_and(|name| reaches(&name))
            }
        }
    }

    /// What the statement that begins here writes.
    fn fills(&self, at: usize) -> Vec<Filling> {
        match self.token(at) {
            Token::Insert if self.token(at + 1) == Token::Into => self.statement(at, at + 2),
            Token::Merge if self.token(at + 1) == Token::Into => self.statement(at, at + 2),
            Token::Update => {
                let name = at + 1 + usize::from(self.token(at + 1) == Token::Only);
                // FOR UPDATE, DO UPDATE and the like name no relation that is set.
                let sets = (name..name + 7).any(|at| self.token(at) == Token::Set);
                if sets && self.token(at + 1) != Token::Set { self.statement(at, name) } else { Vec::new() }
            }
            Token::New if self.begins(at) => self.assigned(at),
            // SELECT … INTO NEW.column
            Token::Into if !matches!(self.before(at), Token::Insert | Token::Merge) => {
                let from = at + 1 + usize::from(self.token(at + 1) == Token::StrictP);
                let end = self.end(from);
                let new = (from..end).take_while(|at| self.token(*at) != Token::From);
                new.filter(|at| self.token(*at) == Token::New)
                    .map(|at| Filling { into: None, place: self.field(at), taken: Taken::ANYTHING })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a statement of PL/pgSQL begins here.
    fn begins(&self, at: usize) -> bool {
        let before = self.before(at);
        let word = at.checked_sub(1).and_then(|before| self.name(before)).unwrap_or_default();
        matches!(before, Token::Nul | Token::Ascii59 | Token::BeginP | Token::Then | Token::Else)
            || matches!(&*word, "loop")
    }

    /// What is behind `NEW` here: a column, or nothing.
    fn field(&self, at: usize) -> Place {
        let column = if self.token(at + 1) == Token::Ascii46 { self.name(at + 2) } else { None };
        column.map_or(Place::Any, Place::Named)
    }

    /// `NEW.column := value`
    fn assigned(&self, at: usize) -> Vec<Filling> {
        let end = self.end(at);
        let is_sign = |at: &usize| matches!(self.token(*at), Token::ColonEquals | Token::Ascii61);
        let Some(sign) = (at + 1..end).find(is_sign) else { return Vec::new() };
        let value = self.between(sign + 1, end);
        let tree = Tree::within(&format!("SELECT {value}"));
        let taken = match tree.as_deref().and_then(first_statement) {
            Some(select) => taken(select, None),
            None => Taken::ANYTHING,
        };
        vec![Filling { into: None, place: self.field(at), taken }]
    }

    /// INSERT, UPDATE or MERGE; the name of its relation begins at `name`.
    fn statement(&self, at: usize, name: usize) -> Vec<Filling> {
        let Some(first) = self.name(name) else { return Vec::new() };
        let second = if self.token(name + 1) == Token::Ascii46 { self.name(name + 2) } else { None };
        let into = match second {
            Some(second) => (first, second),
            None => (String::new(), first),
        };
        let end = self.end(at);
        // RETURNING … INTO is PL/pgSQL's own.
        let returning = (at..end).find(|at| self.token(*at) == Token::Returning).unwrap_or(end);
        let tree = Tree::within(self.between(at, returning));
        let filled = match tree.as_deref().and_then(first_statement).map(|node| (node, node.kind())) {
            Some((insert, "InsertStmt")) => inserted(insert),
            Some((update, "UpdateStmt")) => set(update),
            _ => None,
        };
        let filled = filled.unwrap_or_else(|| vec![(Place::Any, Taken::ANYTHING)]);
        filled.into_iter().map(|(place, taken)| Filling { into: Some(into.clone()), place, taken }).collect()
    }

    /// Where the statement ends in which this stands: before a semicolon, or a parenthesis that was open around it.
    fn end(&self, at: usize) -> usize {
        let mut open = 0_usize;
        for (index, word) in self.words.iter().enumerate().skip(at) {
            match word.token {
                Token::Ascii40 => open += 1,
                Token::Ascii41 if open == 0 => return index,
                Token::Ascii41 => open -= 1,
                Token::Ascii59 => return index,
                _ => {}
            }
        }
        self.words.len()
    }

    fn between(&self, from: usize, to: usize) -> &'t str {
        let start = |at: usize| self.words.get(at).map_or(self.text.len(), |word| word.start);
        self.text.get(start(from)..start(to)).unwrap_or_default()
    }
}

/// The first statement of a text.
fn first_statement(tree: &Tree) -> Option<Node<'_>> {
    tree.statements().find_map(|raw| raw.child("stmt"))
}

/// What an INSERT writes; nothing when that cannot be said column by column.
fn inserted(insert: Node<'_>) -> Option<Vec<(Place, Taken)>> {
    let columns: Vec<&str> = insert.children("cols").map(|column| column.text("name")).collect();
    let select = insert.child("select_stmt")?;
    let rows: Vec<Vec<Node<'_>>> = match select.child("values_lists") {
        Some(_) => select.children("values_lists").map(|row| row.children("items").collect()).collect(),
        None => vec![select.children("target_list").collect()],
    };
    let place = |index: usize| match columns.get(index) {
        Some(name) => Some(Place::Named((*name).to_owned())),
        None => columns.is_empty().then_some(Place::Nth(index)),
    };
    let mut filled = Vec::new();
    for row in &rows {
        let is_star = |value: &Node<'_>| value.all().any(|node| node.kind() == "AStar");
        if row.is_empty() || row.iter().any(is_star) || !columns.is_empty() && row.len() != columns.len() {
            return None;
        }
        for (index, value) in row.iter().enumerate() {
            filled.push((place(index)?, taken(*value, None)));
        }
    }
    let conflict = insert.child("on_conflict_clause");
    let conflict = conflict.into_iter().flat_map(|conflict| conflict.children("target_list"));
    filled.extend(conflict.map(assignment));
    Some(filled)
}

fn set(update: Node<'_>) -> Option<Vec<(Place, Taken)>> {
    Some(update.children("target_list").map(assignment).collect())
}

fn assignment(target: Node<'_>) -> (Place, Taken) {
    let name = target.text("name");
    (Place::Named(name.to_owned()), target.child("val").map(|value| taken(value, Some(name))).unwrap_or_default())
}

/// What a value comes from that is written to the column `own`.
fn taken(value: Node<'_>, own: Option<&str>) -> Taken {
    let mut from = Taken::default();
    let mut open = vec![value];
    while let Some(node) = open.pop() {
        match node.kind() {
            "ColumnRef" => {
                let words: Vec<&str> = node.words("fields").collect();
                from = from.and(reference(&words, own));
            }
            // Yes or no says little, and no name.
            "NullTest" | "BooleanTest" | "BoolExpr" | "SqlvalueFunction" => {}
            "AExpr" if is_test(node) => {}
            "CaseExpr" => {
                open.extend(node.children("args").flat_map(|when| when.children("result")));
                open.extend(node.children("defresult"));
            }
            "FuncCall" => {
                let name = node.words("funcname").last().unwrap_or_default();
                match builtin::class(name) {
                    // What the client asked has its values in it.
                    Some(Class::Read) if name != "current_query" => open.extend(node.nodes()),
                    Some(Class::Sequence) => {}
                    _ => return Taken::ANYTHING,
                }
            }
            "SubLink" | "ParamRef" => return Taken::ANYTHING,
            _ => open.extend(node.nodes()),
        }
    }
    from
}

/// Whether an operator answers yes or no.
fn is_test(node: Node<'_>) -> bool {
    match node.choice::<AExprKind>("kind") {
        AExprKind::AexprOp => {
            node.words("name").last().is_some_and(|name| ["=", "<>", "<", ">", "<=", ">=", "~", "!~"].contains(&name))
        }
        AExprKind::AexprNullif => false,
        _ => true,
    }
}

fn reference(words: &[&str], own: Option<&str>) -> Taken {
    match words {
        // TG_OP, TG_TABLE_NAME and what else a trigger is told of itself.
        [name] if name.starts_with("tg_") => Taken::default(),
        ["new" | "old"] => Taken { row: true, ..Taken::default() },
        ["new" | "old", field] => Taken { fields: BTreeSet::from([(*field).to_owned()]), ..Taken::default() },
        // What was to be inserted is judged where it is.
        ["excluded", field] if own == Some(field) => Taken::default(),
        _ => Taken::ANYTHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written, one line for each: `relation.column < what it comes from`.
    fn told(text: &str) -> Vec<String> {
        let from = |from: &Taken| match from {
            Taken { anything: true, .. } => "anything".to_owned(),
            Taken { row: true, .. } => "row".to_owned(),
            Taken { fields, .. } => fields.iter().cloned().collect::<Vec<_>>().join("+"),
        };
        let told = |filling: &Filling| {
            let into =
                filling.into.as_ref().map_or_else(|| "new".to_owned(), |(schema, name)| format!("{schema}.{name}"));
            let place = match &filling.place {
                Place::Named(name) => name.clone(),
                Place::Nth(index) => index.to_string(),
                Place::Any => "*".to_owned(),
            };
            format!("{into}.{place} < {}", from(&filling.taken))
        };
        code(text).fillings.iter().map(told).collect()
    }

    #[test]
    fn a_trigger_tells_what_it_writes() {
        let text = "BEGIN
            INSERT INTO audit.log (tbl, op, key, was, note, at, who)
              VALUES (TG_TABLE_NAME, TG_OP, OLD.id, to_jsonb(OLD), reverse(OLD.name) || NEW.mail, now(), current_user)
              RETURNING id INTO v_id;
            IF NEW.level > 5 THEN UPDATE ONLY totals t SET n = n + 1, last = NEW.name, big = (NEW.pay > 5) WHERE t.id = 1; END IF;
            RETURN NEW; END";
        assert_eq!(
            told(text),
            [
                "audit.log.key < id",
                "audit.log.was < row",
                "audit.log.note < mail+name",
                ".totals.n < anything",
                ".totals.last < name",
            ]
        );
        assert!(!code(text).opaque);
    }

    #[test]
    fn what_is_not_followed_may_be_anything() {
        let check = |text: &str, expected: &[&str]| assert_eq!(told(text), expected, "{text}");
        check("BEGIN INSERT INTO a VALUES (OLD.*); END", &[".a.* < anything"]);
        check("BEGIN INSERT INTO a SELECT OLD.x, 'y'; END", &[".a.0 < x"]);
        check("BEGIN v := OLD.x; INSERT INTO \"A b\" (c) VALUES (v); END", &[".A b.c < anything"]);
        check("BEGIN INSERT INTO a (c) SELECT x FROM t UNION SELECT y FROM u; END", &[".a.* < anything"]);
        check("BEGIN INSERT INTO a (c) VALUES ((SELECT max(x) FROM t)); END", &[".a.c < anything"]);
        check("BEGIN INSERT INTO a (c) VALUES (made_of(OLD.x)); END", &[".a.c < anything"]);
        check("BEGIN INSERT INTO a (c) VALUES (current_query()); END", &[".a.c < anything"]);
        check("BEGIN MERGE INTO a USING b ON true WHEN MATCHED THEN UPDATE SET c = OLD.x; END", &[".a.* < anything"]);
        check(
            "BEGIN INSERT INTO a (c, d) VALUES ($1, 1) ON CONFLICT (c) DO UPDATE SET c = excluded.c, d = excluded.c; END",
            &[".a.c < anything", ".a.d < anything"],
        );
        check(
            "CREATE RULE r AS ON UPDATE TO t DO ALSO (INSERT INTO a (c) VALUES (old.x); INSERT INTO b (d) VALUES (new.y))",
            &[".a.c < x", ".b.d < y"],
        );
    }

    #[test]
    fn the_row_itself_is_written_as_well() {
        let check = |text: &str, expected: &[&str]| assert_eq!(told(text), expected, "{text}");
        check("BEGIN NEW.a := lower(NEW.b); NEW.at = now(); RETURN NEW; END", &["new.a < b"]);
        check("BEGIN IF NEW.a = NEW.b THEN NEW.c := (SELECT x FROM t); END IF; END", &["new.c < anything"]);
        check("BEGIN SELECT x, y INTO STRICT NEW.a, NEW.b FROM t; END", &["new.a < anything", "new.b < anything"]);
        check("BEGIN NEW.state := CASE WHEN NEW.mail IS NULL THEN 'new' ELSE 'known' END; END", &[]);
        check("BEGIN NEW := changed(NEW); RETURN NEW; END", &["new.* < anything"]);
        check("BEGIN PERFORM 1 FROM t FOR UPDATE; RETURN NEW; END", &[]);
    }

    #[test]
    fn code_that_makes_text_names_what_it_reaches() {
        let made = code("BEGIN EXECUTE format('INSERT INTO hist.%I_log SELECT ($1).*', 'Customers') USING OLD; END");
        assert!(made.opaque && made.words.contains("hist") && made.words.contains("customers"));
        assert!(code("'").opaque && unread("plan = x(\"insert into Audit_Log\")").words.contains("audit_log"));
        assert!(code("BEGIN PERFORM dblink_exec('a', 'b'); END").opaque);
        assert!(!code("CREATE TRIGGER t AFTER UPDATE ON x EXECUTE FUNCTION f()").opaque);
    }
}
