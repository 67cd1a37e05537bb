//! A session's statements as they were typed, behind `gov timeline SESSION --raw`.

use super::exit::Exit;
use super::output::{Format, Output, clean};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Kind, SessionId};
use crate::wire::api::{RawEntry, RawPage, RawQuery, TimelinePage, TimelineQuery};

pub(super) async fn show(gateway: &Gateway, query: TimelineQuery, output: &mut Output) -> Result<Exit, Failure> {
    let session = session(gateway, query).await?;
    let path = format!("/v1/sessions/{session}/raw");
    let mut after = None;
    let mut shown = false;
    loop {
        let page: RawPage = gateway.find(&path, &RawQuery { after }).await?;
        shown |= !page.texts.is_empty();
        page.texts.iter().for_each(|entry| print(entry, output));
        if page.after.is_none() || output.is_closed() {
            if !shown {
                output.say(if page.kept {
                    "Nothing was typed in this session, or it was not kept then."
                } else {
                    "This server does not keep what people type: `audit.raw_sql` is `off` in its configuration."
                });
            }
            return Ok(Exit::Done);
        }
        after = page.after;
    }
}

/// The whole id of the one session that is meant.
async fn session(gateway: &Gateway, query: TimelineQuery) -> Result<String, Failure> {
    let wanted = query.session.clone().unwrap_or_default();
    if let Ok(whole) = wanted.parse::<SessionId>() {
        // Auditors need not be operators, and may then not look for sessions of others.
        return Ok(whole.to_string());
    }
    let page: TimelinePage = gateway.find("/v1/timeline", &query).await?;
    match page.sessions.as_slice() {
        [one] => Ok(one.session.clone()),
        [] => Err(Failure::new(Kind::NotFound, format!("there is no session `{wanted}`"))),
        many => Err(Failure::new(Kind::Usage, format!("{} sessions begin with `{wanted}`", many.len()))
            .hint("write more of its id")),
    }
}

fn print(entry: &RawEntry, output: &mut Output) {
    if output.format() == Format::Json {
        return output.json(entry);
    }
    let time = entry.at.get(11..19).unwrap_or_default();
    let number = entry.statement.as_deref().unwrap_or("-");
    let action = entry.action.as_deref().filter(|action| *action != "allow");
    let mark = action.map_or_else(String::new, |action| format!("{action}: "));
    let text = match (&entry.text, entry.state.as_str()) {
        (Some(text), _) => clean(text.trim_end()).replace('\n', "\n                  "),
        (None, state) => output.paint("2", &format!("({state})")),
    };
    let cut = if entry.cut { " … (the rest was not kept)" } else { "" };
    output.line(format!("  {time}  {number:<6}{mark}{text}{cut}"));
}
