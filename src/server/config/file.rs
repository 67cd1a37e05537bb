//! `gov.yaml` → [`Config`]. Every mistake has a line and a hint; unknown keys are mistakes, because a guard whose
//! setting is misspelt guards nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::{Check, Mistake};
use super::sections::File;
use super::{Config, IdentitySource, User};
use crate::domain::{Access, AgentId, Failure, Kind, Labels, ResourceName};
use crate::engine::{PolicyMistake, PolicySource, read_yaml};
use crate::runtime::files;
use crate::server::nearest::nearest;

/// Longest configuration file, in bytes: ten thousand resources.
pub(crate) const FILE_MAX: u64 = 8 * 1024 * 1024;

/// Reads and checks a configuration file. With `development`, the identity section is left to the built-in issuer.
pub(crate) fn read(path: &Path, development: bool) -> Result<Config, Failure> {
    let shown = path.display();
    let text = files::read_limited(path, FILE_MAX)
        .map_err(|error| Failure::new(Kind::Usage, format!("`{shown}` cannot be read")).cause(error))?
        .ok_or_else(|| {
            Failure::new(Kind::Usage, format!("there is no `{shown}`"))
                .hint("begin with: gov server --print-example-config > gov.yaml")
        })?;
    let text =
        String::from_utf8(text).map_err(|_| Failure::new(Kind::Usage, format!("`{shown}` is not text in UTF-8")))?;
    parse(&text, path, development)
}

/// Checks the text of a configuration file. Paths in it are relative to the folder of `path`.
pub(crate) fn parse(text: &str, path: &Path, development: bool) -> Result<Config, Failure> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let file: File = read_yaml(text).map_err(|mistake| not_of_the_form(&name, mistake))?;
    let mut check = Check::new(text, path.parent().unwrap_or_else(|| Path::new("")));
    let config = check.config(file, development);
    let mut mistakes = check.mistakes;
    mistakes.sort_by_key(|mistake| mistake.line);
    let mut mistakes = mistakes.into_iter();
    match (mistakes.next(), config) {
        (None, Some(config)) => Ok(config),
        (None, None) => Err(Failure::new(Kind::Internal, format!("`{name}` was refused without a reason"))),
        (Some(first), _) => {
            let more: Vec<_> = mistakes.map(|more| format!("{name}:{}: {}", more.line, more.message)).collect();
            let mut failure = Failure::new(Kind::Usage, format!("{name}:{}: {}", first.line, first.message));
            failure.hint = first.hint;
            failure.detail = (!more.is_empty()).then(|| format!("Also: {}.", more.join("; ")));
            Err(failure)
        }
    }
}

/// A mistake that the YAML parser or a type noticed.
fn not_of_the_form(name: &str, mistake: PolicyMistake) -> Failure {
    let mistake = noticed(mistake);
    let mut failure = Failure::new(Kind::Usage, format!("{name}:{}: {}", mistake.line, mistake.message));
    failure.hint = mistake.hint;
    failure
}

fn noticed(mistake: PolicyMistake) -> Mistake {
    let PolicyMistake { line, column, message, hint } = mistake;
    let hint = hint.or_else(|| {
        let mut words = message.split('`').skip(1).step_by(2);
        let typed = words.next().filter(|_| message.contains("unknown variant"))?;
        nearest(typed, words).map(|meant| format!("did you mean `{meant}`?"))
    });
    Mistake { line: line.max(1), column, message, hint }
}

/// What a configuration says about decisions, for whoever looks at it away from the server.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub(crate) policy: PolicySource,
    /// The labels of each resource.
    pub(crate) labels: BTreeMap<ResourceName, Labels>,
    /// Users of the built-in issuer.
    pub(crate) users: BTreeMap<String, User>,
    /// The most that each agent gets; nothing where there is only a policy.
    pub(crate) agents: Option<BTreeMap<AgentId, Access>>,
}

/// Checks the text of a configuration file without looking at the files it names. All that is wrong with it, if
/// anything is.
pub(crate) fn outline(text: &str) -> Result<Outline, Vec<Mistake>> {
    let file: File = read_yaml(text).map_err(|mistake| vec![noticed(mistake)])?;
    let development = file.identity.is_none();
    let mut check = Check::offline(text);
    let config = check.config(file, development);
    let mut mistakes = check.mistakes;
    mistakes.sort_by_key(|mistake| mistake.line);
    let Some(config) = config.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
    let users = match config.identity {
        IdentitySource::BuiltIn(users) => users,
        IdentitySource::Provider(_) => BTreeMap::new(),
    };
    let labels = config.resources.into_iter().map(|(name, resource)| (name, resource.labels)).collect();
    let agents = config.agents.into_iter().map(|(id, agent)| (id, agent.access)).collect();
    Ok(Outline { policy: config.policy, labels, users, agents: Some(agents) })
}
