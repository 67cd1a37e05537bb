//! One fixed login for all sessions: for databases in which nothing else is possible. Flagged wherever it is shown,
//! because the database then cannot tell people apart and a leaked password stays valid.

use super::{Boxed, CredentialSource, Finding, Lease, Request, Revoked};
use crate::domain::{Failure, Timestamp};
use crate::server::resource::Resource;

#[derive(Debug)]
pub(super) struct Static;

impl CredentialSource for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn summary(&self) -> &'static str {
        "one fixed login for all sessions (not recommended)"
    }

    fn makes_roles(&self) -> bool {
        false
    }

    fn preflight<'a>(&'a self, resource: &'a Resource) -> Boxed<'a, Result<Vec<Finding>, Failure>> {
        Box::pin(async move {
            resource.broker().rows("SELECT 1").await?;
            Ok(vec![Finding {
                fatal: false,
                text:
                    "All sessions share one database login, so the database cannot tell people apart, and a session's \
                       end does not end its right to log in."
                        .to_owned(),
                remedy: None,
            }])
        })
    }

    fn mint<'a>(&'a self, resource: &'a Resource, _: Request) -> Boxed<'a, Result<Lease, Failure>> {
        let login = resource.broker().login();
        Box::pin(async move { Ok(Lease { role: login.user.clone(), password: login.password.clone(), acts_as: None }) })
    }

    fn revoke<'a>(&'a self, _: &'a Resource, _: &'a str) -> Boxed<'a, Result<Revoked, Failure>> {
        Box::pin(async { Ok(Revoked::default()) })
    }

    fn sweep<'a>(&'a self, _: &'a Resource, _: Timestamp) -> Boxed<'a, Result<Vec<String>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
