//! What a text is understood as: itself, or, where it only looks something up by number, itself with a parameter in the
//! place of the number.
//!
//! Programs that do not prepare their statements send `… WHERE id = 4711` with another number each time, and parsing
//! costs more than everything else that is done for such a text. They are understood once, as `… WHERE id = $001`: what
//! texts share has no number of any of them in it, so nothing that is concluded from it can rest on the number of
//! another text. That a parameter is judged as its value would be, is known of one thing: a number that a column is
//! compared with. So only that is left out: in one SELECT, UPDATE or DELETE whose last part is `WHERE column = number
//! [AND column = number …]`, with no other number in it, and no string, comment, quoted name, parameter or byte beyond
//! ASCII anywhere. Such a text has tokens that are plain to see; about any other nothing is said, and it is understood
//! as it is.
//!
//! A parameter is as long as the number it stands for, so that positions in what is understood are right for each text.
//! No number is 0 or begins with one, because as a condition 0 means something; no two are equal, because that means
//! something too.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

/// Digits of a number that is left out: at least as many as a parameter needs, at most what certainly fits four bytes.
const DIGITS: RangeInclusive<usize> = 2..=9;

/// Most numbers that are left out. A parameter's own number has one digit.
const NUMBERS_MAX: usize = 9;

/// What a text is understood as. Many texts may have one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape<'t>(Cow<'t, [u8]>);

impl<'t> Shape<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        let Some(numbers) = looked_up(text) else { return Self(Cow::Borrowed(text)) };
        let mut shape = text.to_vec();
        for (number, which) in numbers.iter().zip(b'1'..) {
            let place = shape.get_mut(number.clone()).unwrap_or_default();
            place.fill(b'0');
            if let [sign, .., last] = place {
                (*sign, *last) = (b'$', which);
            }
        }
        Self(Cow::Owned(shape))
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is not the text itself.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }
}

/// The places of the numbers that a text looks something up by, if that is all it does with numbers.
fn looked_up(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut rest = text;
    match token(&mut rest)?? {
        Token::Word(word) if ["select", "update", "delete"].iter().any(|known| is(word, known)) => {}
        _ => return None,
    }
    loop {
        match token(&mut rest)?? {
            Token::Word(word) if is(word, "where") => break,
            Token::Word(_) | Token::Equals | Token::Dot | Token::Sign => {}
            Token::Number(_) | Token::Semicolon => return None,
        }
    }
    let mut numbers: Vec<Range<usize>> = Vec::new();
    loop {
        column(&mut rest)?;
        let Token::Number(number) = token(&mut rest)?? else { return None };
        let end = text.len() - rest.len();
        let known = |place: &Range<usize>| text.get(place.clone()) == Some(number);
        if !DIGITS.contains(&number.len()) || numbers.len() == NUMBERS_MAX || numbers.iter().any(known) {
            return None;
        }
        numbers.push(end - number.len()..end);
        match token(&mut rest)? {
            None => return Some(numbers),
            Some(Token::Semicolon) => return token(&mut rest)?.is_none().then_some(numbers),
            Some(Token::Word(word)) if is(word, "and") => {}
            Some(_) => return None,
        }
    }
}

/// Takes `column =`; the column may have a qualifier.
fn column(rest: &mut &[u8]) -> Option<()> {
    loop {
        let Token::Word(word) = token(rest)?? else { return None };
        // A condition on constants is none on rows.
        if ["true", "false", "null"].iter().any(|constant| is(word, constant)) {
            return None;
        }
        match token(rest)?? {
            Token::Dot => {}
            Token::Equals => return Some(()),
            Token::Word(_) | Token::Number(_) | Token::Semicolon | Token::Sign => return None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t [u8]),
    Number(&'t [u8]),
    /// `=` and nothing beside it.
    Equals,
    Dot,
    Semicolon,
    /// Another sign or operator.
    Sign,
}

fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}

/// Takes the next token; `Some(None)` at the end. Nothing when the text holds what is not read here.
#[expect(clippy::option_option, reason = "the end of a text is not the end of what can be said of it")]
fn token<'t>(rest: &mut &'t [u8]) -> Option<Option<Token<'t>>> {
    *rest = rest.trim_ascii_start();
    let Some(first) = rest.first() else { return Some(None) };
    let run = |belongs: fn(&u8) -> bool| rest.iter().take_while(|byte| belongs(byte)).count();
    let length = match first {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => run(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'),
        b'1'..=b'9' => run(u8::is_ascii_digit),
        b'.' | b',' | b'(' | b')' | b';' => 1,
        byte if is_operator(*byte) => run(|byte| is_operator(*byte)),
        _ => return None,
    };
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(Some(match *first {
        // `1e5`, `1_000`, `1.5` and `1a` are other things.
        b'1'..=b'9' => {
            let ends = left.first().is_none_or(|byte| !matches!(byte, b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z'));
            Token::Number(Some(taken).filter(|_| ends)?)
        }
        b'.' => Token::Dot,
        b';' => Token::Semicolon,
        b',' | b'(' | b')' => Token::Sign,
        b'=' if length == 1 => Token::Equals,
        // A comment, or what may begin one.
        _ if is_operator(*first) && holds_comment(taken) => return None,
        _ if is_operator(*first) => Token::Sign,
        _ => Token::Word(taken),
    }))
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=' | b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'?'
    )
}

fn holds_comment(operator: &[u8]) -> bool {
    operator.windows(2).any(|pair| pair == b"--" || pair == b"/*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sql::compared::Compared;
    use crate::engine::sql::fact::Command;
    use crate::engine::sql::tree::Root;
    use crate::engine::sql::{Understood, postgres};

    fn check(text: &str, expected: &str) {
        let shape = Shape::of(text.as_bytes());
        assert_eq!(std::str::from_utf8(shape.text()).unwrap(), expected);
        assert_eq!(shape.is_shared(), text != expected);
    }

    fn stays(text: &str) {
        check(text, text);
    }

    #[test]
    fn what_is_looked_up_by_number_is_left_out() {
        check(
            "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
            "SELECT abalance FROM pgbench_accounts WHERE aid = $0001;",
        );
        check("select * from a.b x where x.id=70", "select * from a.b x where x.id=$1");
        check(
            "UPDATE t SET a = b WHERE a.b.c = 10 AND\n d = 110 ; ",
            "UPDATE t SET a = b WHERE a.b.c = $1 AND\n d = $02 ; ",
        );
        check("DELETE FROM t WHERE id = 999999999", "DELETE FROM t WHERE id = $00000001");
        check(
            "SELECT count(*), a2 + b FROM t1 JOIN t2 ON x = y WHERE id = 50",
            "SELECT count(*), a2 + b FROM t1 JOIN t2 ON x = y WHERE id = $1",
        );
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "",
            "SELECT 10",
            "SELECT 10 FROM t WHERE id = 50",
            "SELECT a FROM t WHERE id = 0",
            "SELECT a FROM t WHERE id = 7",
            "SELECT a FROM t WHERE id = 07",
            "SELECT a FROM t WHERE id = -70",
            "SELECT a FROM t WHERE id = 70.5",
            "SELECT a FROM t WHERE id = 70e5",
            "SELECT a FROM t WHERE id = 70_000",
            "SELECT a FROM t WHERE id = 0x70",
            "SELECT a FROM t WHERE id = 70and b = 80",
            "SELECT a FROM t WHERE id = 1234567890",
            "SELECT a FROM t WHERE id = 70 + b",
            "SELECT a FROM t WHERE id = 70::int",
            "SELECT a FROM t WHERE id >= 70",
            "SELECT a FROM t WHERE id <> 70",
            "SELECT a FROM t WHERE id = = 70",
            "SELECT a FROM t WHERE 70 = id",
            "SELECT a FROM t WHERE 70 = 70",
            "SELECT a FROM t WHERE true = 70",
            "SELECT a FROM t WHERE NULL = 70",
            "SELECT a FROM t WHERE id = 70 OR id = 80",
            "SELECT a FROM t WHERE id = 70 AND other = 70",
            "SELECT a FROM t WHERE id = 70 AND other = 7",
            "SELECT a FROM t WHERE id = 70 AND true",
            "SELECT a FROM t WHERE id = 70 AND id <> 80",
            "SELECT a FROM t WHERE NOT id = 70",
            "SELECT a FROM t WHERE (id = 70)",
            "SELECT a FROM t WHERE id + b = 70",
            "SELECT a FROM t WHERE f(id) = 70",
            "SELECT a FROM t WHERE id = 70 LIMIT 50",
            "SELECT a FROM t WHERE id = 70 ORDER BY a",
            "SELECT a FROM t WHERE id = 70 -- AND",
            "SELECT a FROM t WHERE id = 70 /* x */",
            "SELECT a /* WHERE */ FROM t WHERE id = 70",
            "SELECT a --WHERE id = 70\n FROM t WHERE id = 70",
            "SELECT a FROM t WHERE name = 'x' AND id = 70",
            "SELECT a FROM t WHERE name = '12345'",
            "SELECT 'WHERE' FROM t WHERE id = 70",
            "SELECT \"where\" FROM t WHERE id = 70",
            "SELECT $$WHERE$$ FROM t WHERE id = 70",
            "SELECT a$WHERE FROM t WHERE id = 70",
            "SELECT a FROM t WHERE id = $1",
            "SELECT a FROM t WHERE id = 70 AND b = $1",
            "SELECT a[10] FROM t WHERE id = 70",
            "SELECT a FROM t WHERE id = 70; SELECT b",
            "SELECT b; SELECT a FROM t WHERE id = 70",
            "SELECT a FROM (SELECT b FROM t WHERE id = 70)",
            "SELECT \u{e5} FROM t WHERE id = 70",
            "INSERT INTO t SELECT a FROM u WHERE id = 70",
            "EXPLAIN SELECT a FROM t WHERE id = 70",
            "UPDATE t SET a = 12 WHERE id = 70",
            "SELECT a FROM t WHERE a = 10 AND b = 20 AND c = 30 AND d = 40 AND e = 50 AND f = 60 AND g = 70 AND h = 80 \
             AND i = 90 AND j = 11",
        ] {
            stays(text);
        }
    }

    /// Everything understood of a text, as one may look at it, without its tree.
    fn shown(what: &Understood) -> String {
        // Of what is compared, only text and addresses are looked at, never a number.
        let bare =
            |command: &Command| Command { root: Root::default(), compared: Compared::default(), ..command.clone() };
        let facts: Vec<_> = what.commands.iter().map(bare).collect();
        format!("{:?} {:?} {facts:?}", what.statement, what.complaint)
    }

    /// What is understood of a shape is what is understood of each text that has it, number aside; what a rule could read
    /// is a parameter.
    #[test]
    fn a_shape_is_understood_as_its_texts_are() {
        let numbers = ["918273", "56789", "123456789"];
        for template in [
            "SELECT a FROM t WHERE id = {}",
            "SELECT * FROM pg_class c, t WHERE c.oid = {};",
            "SELECT name, count(*) FROM s.t JOIN u ON t.a = u.b WHERE t.id = {} AND u.id = {} AND f={} ;",
            "UPDATE t SET a = b, c = lower(d) WHERE id = {} AND true_ = {}",
            "DELETE FROM t WHERE t.x = {} AND t.x = {}",
            "SELECT set_config(a, b, c) FROM t WHERE current_user = {}",
            "SELECT (SELECT max(x) FROM u) FROM t WHERE tableoid = {}",
            "SELECT a, a + pg_sleep(b) INTO x FROM ONLY t, LATERAL f(b) WHERE id = {}",
        ] {
            let text = numbers.iter().fold(template.to_owned(), |text, number| text.replacen("{}", number, 1));
            let shape = Shape::of(text.as_bytes());
            assert!(shape.is_shared(), "{text}");
            let mut of_text = shown(&postgres::understand(text.as_bytes()));
            for (number, which) in numbers.iter().zip(1..) {
                let constant = format!("Constant(Integer({number}))");
                of_text = of_text.replace(&constant, &format!("Parameter({which})"));
            }
            let of_shape = postgres::understand(shape.text());
            assert_eq!(shown(&of_shape), of_text, "{text}");
            let whole = format!("{of_shape:?}");
            assert!(!numbers.iter().any(|number| whole.contains(number)), "a number is left in {whole}");
        }
    }
}
