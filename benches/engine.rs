//! What the engine costs by itself, in CPU time of one core: deciding, masking, classifying.
//!
//! `cargo bench --bench engine`, or as a part of `benches/run`. Each figure is the median of several measurements of the
//! time the kernel says this thread was on a core, so that a busy machine changes little. README.md beside it says more.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose purpose is to print a table")]

use std::fmt::Write as _;
use std::process::ExitCode;

use gov::doors::{Engine, classify, detect};

const CATALOG: &str = include_str!("../tests/vectors/guardrails/catalog.json");

/// How often each measurement is taken.
const TIMES: usize = 7;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let engine = Engine::new("", CATALOG)?;
    decisions(&engine)?;
    rules()?;
    masks(&engine)?;
    classification()
}

fn decisions(engine: &Engine) -> Result<(), String> {
    let known = "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = $1";
    let cached = cost(2_000, |_| engine.allows(known))?;
    line("a statement decided before", cached, "µs", 1.0, cached);
    let looked_up =
        cost(2_000, |turn| engine.allows(&format!("SELECT name FROM users WHERE id = {};", 100_000 + turn)))?;
    line("one looked up by another number", looked_up, "µs", 50.0, looked_up);
    let new = cost(200, |turn| engine.allows(&format!("SELECT name AS a{turn}, email FROM users WHERE id = $1")))?;
    line("a new OLTP statement", new, "µs", 50.0, new);
    let long = cost(50, |turn| {
        let mut text = format!("SELECT id AS a{turn}");
        while text.len() < 1_900 {
            text.push_str(", CASE WHEN total > 100 THEN upper(status) ELSE lower(status) END");
        }
        engine.allows(&(text + " FROM orders WHERE user_id = $1 AND status <> 'x'"))
    })?;
    line("a new statement of 2 KB", long, "µs", 1_000.0, long);
    let list = cost(3, |turn| {
        let mut text = format!("SELECT id AS a{turn} FROM orders WHERE id IN (0");
        for id in 0.. {
            if text.len() >= 100_000 {
                break;
            }
            // Writing to a String does not fail.
            let _ = write!(text, ",{}", 100_000 + id);
        }
        engine.allows(&(text + ")"))
    })?;
    line("a new IN list of 100 KB", list, "µs", 20_000.0, list);
    Ok(())
}

/// A policy with many cases is compared with one that has few.
fn rules() -> Result<(), String> {
    let mut costs = Vec::new();
    for count in [12, 500] {
        let mut policy = "cases:\n".to_owned();
        for number in 0..count {
            let case = format!(
                "{{name: case {number}, if: {{relation: 'billing.t{number}', operation: insert}}, then: deny}}"
            );
            policy.push_str("  - ");
            policy.push_str(&case);
            policy.push('\n');
        }
        let engine = Engine::new(&policy, CATALOG)?;
        let cost = cost(200, |turn| engine.allows(&format!("SELECT name AS a{turn}, email FROM users WHERE id = $1")))?;
        costs.push(cost);
    }
    let [few, many] = costs.as_slice() else { return Ok(()) };
    line("a new OLTP statement, 500 rules", *many, "µs", 2.0, many / few);
    Ok(())
}

/// Rows as applications have them: most cells hold nothing, some hold values between other words. Detectors by
/// themselves, then with what becomes of what they find.
fn masks(engine: &Engine) -> Result<(), String> {
    let rows = |one_in: usize| -> Vec<Vec<String>> {
        let row = |number: usize| {
            vec![
                format!("hall {}", number % 40),
                format!("the door number {} was opened and closed again by the night shift", number % 300),
                "done".to_owned(),
                format!("2026-01-{:02} 12:{:02}:00", number % 28 + 1, number % 60),
                format!("{:08x}-4f89-41d3-9a0c-0305e82c3301", number),
                match number % one_in {
                    0 => format!("write to person{number}@mail.example.org"),
                    1 => format!("call +47 22 {:02} {:02} {:02} before noon", number % 90 + 10, number % 80 + 10, 42),
                    _ => "Delivered to the front desk, signed for by the porter".to_owned(),
                },
            ]
        };
        (2..20_002).map(row).collect()
    };
    let (nothing, some) = (rows(usize::MAX), rows(10));
    let took = cost(1, |_| detect(&nothing) == 0)?;
    at_least("detectors, mixed rows without a value", speed(&nothing, took)?, "MB/s", 500.0);
    let took = cost(1, |_| detect(&some) == 4_000)?;
    at_least("detectors, mixed rows, one in five has one", speed(&some, took)?, "MB/s", 500.0);
    let took = cost(1, |_| engine.masks(&some) == 4_000)?;
    println!("{:<42}{:>12.2} MB/s", "the same, and what they find masked", speed(&some, took)?);
    Ok(())
}

/// Bytes in a microsecond, which are megabytes in a second.
fn speed(rows: &[Vec<String>], took: f64) -> Result<f64, String> {
    let bytes: usize = rows.iter().flatten().map(String::len).sum();
    Ok(f64::from(u32::try_from(bytes).map_err(|error| error.to_string())?) / took)
}

fn classification() -> Result<(), String> {
    const NAMES: [&str; 10] =
        ["email", "phone", "c3", "full_name", "notes", "status", "iban", "c8", "address", "reference"];
    let column = |number: usize| {
        let name = NAMES.get(number % NAMES.len()).copied().unwrap_or_default();
        let value = |row: usize| match number % NAMES.len() {
            0 | 2 => format!("person{row}@mail.example.org"),
            1 | 7 => format!("+47 22 {:02} {:02} {:02}", row % 90 + 10, number % 80 + 10, 42),
            3 => format!("Maria Hopper{}", row % 7),
            6 => format!("DE89 3704 0044 0532 01{:02} 00", row % 100),
            8 => format!("{row} Larkspur Hollow Rd"),
            _ => format!("opened the door number {row} again"),
        };
        (format!("{name}_{number}"), (0..200).map(value).collect())
    };
    // Tables of 25 columns.
    let tables: Vec<Vec<(String, Vec<String>)>> =
        (0..20).map(|table| (0..25).map(|number| column(table * 25 + number)).collect()).collect();
    let took = cost(1, |_| tables.iter().map(|table| classify(table)).sum::<usize>() > 0)? / 1_000.0;
    line("classifying 500 columns of 200 values", took, "ms", 100.0, took);
    Ok(())
}

/// Microseconds of CPU for one call, which must say yes.
fn cost(calls: usize, mut call: impl FnMut(usize) -> bool) -> Result<f64, String> {
    let mut costs = Vec::new();
    for round in 0..TIMES {
        let before = on_core()?;
        for turn in 0..calls {
            if !call(round * calls + turn) {
                return Err("what is measured does not happen".to_owned());
            }
        }
        let calls = u32::try_from(calls).map_err(|error| error.to_string())?;
        costs.push((on_core()? - before) / 1_000.0 / f64::from(calls));
    }
    costs.sort_by(f64::total_cmp);
    costs.get(TIMES / 2).copied().ok_or_else(|| "nothing was measured".to_owned())
}

/// Nanoseconds this thread has been on a core.
fn on_core() -> Result<f64, String> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").map_err(|error| error.to_string())?;
    text.split(' ').next().and_then(|word| word.parse().ok()).ok_or_else(|| "the kernel does not say".to_owned())
}

/// Prints a cost, and whether `value` is below its limit.
fn line(name: &str, cost: f64, unit: &str, limit: f64, value: f64) {
    let verdict = if value < limit { "reached" } else { "NOT REACHED" };
    let target = if (value - cost).abs() < f64::EPSILON {
        format!("< {limit} {unit}")
    } else {
        format!("< {limit} × with 12, is {value:.2}")
    };
    println!("{name:<42}{cost:>12.2} {unit:<5} {target:<26} {verdict}");
}

fn at_least(name: &str, value: f64, unit: &str, limit: f64) {
    let verdict = if value >= limit { "reached" } else { "NOT REACHED" };
    println!("{name:<42}{value:>12.2} {unit:<5} {:<26} {verdict}", format!("≥ {limit} {unit}"));
}
