//! The token that a platform gives to its jobs, from where the platform puts it. Asks nobody but the platform.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::domain::{Failure, Kind, Secret};
use crate::runtime::tls::Trust;
use crate::runtime::{env, files, http};

/// Longest token read, in bytes.
const TOKEN_MAX: u64 = 16 * 1024;

/// Where `gov login --workload kubernetes` looks: what the projected volume in the manual is mounted as.
const KUBERNETES_FILE: &str = "/var/run/secrets/gov/token";

/// The variable for which the manual asks in `id_tokens` of `.gitlab-ci.yml`.
const GITLAB_VARIABLE: &str = "GOV_ID_TOKEN";

/// Where this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Platform {
    /// A job of GitHub Actions, with `permissions: id-token: write`
    Github,
    /// A job of GitLab CI, with an ID token in the variable `GOV_ID_TOKEN`
    Gitlab,
    /// A pod, with a projected token in the file `/var/run/secrets/gov/token`
    Kubernetes,
    /// Anything else that puts an OpenID Connect token into a file: `--token-file`
    OidcFile,
}

impl Platform {
    /// The word people type.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Kubernetes => "kubernetes",
            Self::OidcFile => "oidc-file",
        }
    }

    /// A token of this very process. `audience` is what it is to be made for, where one can ask for that.
    pub(crate) async fn token(self, audience: &str, file: Option<&Path>) -> Result<Secret<String>, Failure> {
        match (self, file) {
            (_, Some(file)) => from_file(file),
            (Self::Github, None) => from_github(audience).await,
            (Self::Gitlab, None) => env::var(GITLAB_VARIABLE).map(Secret::new).ok_or_else(|| {
                let hint = format!("add to the job: id_tokens: {{{GITLAB_VARIABLE}: {{aud: {audience}}}}}");
                missing(&format!("The variable `{GITLAB_VARIABLE}` is not set."), &hint)
            }),
            (Self::Kubernetes, None) => from_file(&PathBuf::from(KUBERNETES_FILE)),
            (Self::OidcFile, None) => Err(Failure::new(Kind::Usage, "no file with a token was named")
                .hint("name it: gov login --workload oidc-file --token-file FILE")),
        }
    }
}

fn missing(why: &str, hint: &str) -> Failure {
    Failure::new(Kind::Usage, "this job has no token of its platform").detail(why).hint(hint)
}

fn from_file(path: &Path) -> Result<Secret<String>, Failure> {
    let hint = "mount a projected service account token there, or name the file with --token-file";
    let unusable = |why: &dyn std::fmt::Display| missing(&format!("`{}`: {why}.", path.display()), hint);
    let bytes = files::read_limited(path, TOKEN_MAX).map_err(|error| unusable(&error))?;
    let text = String::from_utf8(bytes.ok_or_else(|| unusable(&"it does not exist"))?);
    text.map(|text| Secret::new(text.trim().to_owned())).map_err(|_| unusable(&"it is not text"))
}

/// What the runner of GitHub Actions answers.
#[derive(Deserialize)]
struct Minted {
    value: String,
}

/// Asks the runner's own service, as the toolkit of GitHub Actions does. The two variables are there only in jobs that
/// may have a token, which jobs of pull requests from forks may not.
async fn from_github(audience: &str) -> Result<Secret<String>, Failure> {
    let hint = "add to the job: permissions: {id-token: write}";
    let var = |name: &str| env::var(name).ok_or_else(|| missing(&format!("The variable `{name}` is not set."), hint));
    let bearer = Secret::new(var("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
    let url = Url::parse(&var("ACTIONS_ID_TOKEN_REQUEST_URL")?).ok().filter(http::is_private);
    let mut url = url.ok_or_else(|| missing("`ACTIONS_ID_TOKEN_REQUEST_URL` is not an https URL.", hint))?;
    url.query_pairs_mut().append_pair("audience", audience);
    let client = http::foreign_client(&Trust::System, &url)?;
    let unanswered = |why: String| {
        Failure::new(Kind::Gateway, "GitHub gave this job no token").detail(why).hint("run the job again in a minute")
    };
    let request = client.get(url).bearer_auth(bearer.expose());
    let answer = http::send(request).await.map_err(|error| unanswered(format!("{error}.")))?;
    if !answer.status.is_success() {
        return Err(unanswered(format!("It answered {}.", answer.status)));
    }
    let minted = serde_json::from_slice::<Minted>(&answer.body);
    minted.map(|minted| Secret::new(minted.value)).map_err(|_| unanswered("Its answer was not understood.".to_owned()))
}
