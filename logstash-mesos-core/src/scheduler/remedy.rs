//! What a person has to do before a master takes the framework, or an agent a task.

use super::Credentials;
use mesos_v1::scheduler::DisconnectReason;

/// Who the framework says it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    pub(super) credentials: Credentials,
    pub(super) roles: Vec<String>,
}

impl Who {
    /// What helps against the lack of a subscription, if only a person can.
    pub(super) fn remedy(&self, reason: &DisconnectReason) -> Option<String> {
        match reason {
            DisconnectReason::Unauthorized { .. } => Some(self.other_credentials()),
            DisconnectReason::TooOld { .. } => Some(OLD_MASTER.to_owned()),
            DisconnectReason::Refused { text, .. } | DisconnectReason::Error { text } => self.of_words(text),
            _ => None,
        }
    }

    fn other_credentials(&self) -> String {
        match &self.credentials {
            Credentials::None | Credentials::Principal(_) => {
                "this master wants to know who we are: give --mesos-principal and --mesos-secret-file, or in DC/OS \
                 --dcos-service-account-file"
                    .to_owned()
            }
            Credentials::Secret { principal, file } => format!(
                "principal `{principal}` with the secret in {} has to be among the master's --credentials; the file is \
                 read again at the next attempt",
                file.display()
            ),
            Credentials::GivenSecret { principal, .. } => {
                format!("principal `{principal}` with the secret of --mesos-secret has to be among the master's --credentials")
            }
            Credentials::ServiceAccount(account) => format!(
                "service account `{}` has to exist with the public key that belongs to its secret",
                account.uid()
            ),
        }
    }

    /// Mesos has no codes for these, so its words are matched loosely (facts 1.4).
    fn of_words(&self, text: &str) -> Option<String> {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().all(|word| text.contains(word));
        let (name, roles) = (self.name(), self.roles.join(", "));
        if has(&["root_submissions"]) {
            Some(
                "choose another user with --mesos-user, or start the masters with --root_submissions"
                    .to_owned(),
            )
        } else if has(&["not present in the master", "roles"]) {
            Some(format!("add {roles} to the masters' --roles, or choose another role with --mesos-role"))
        } else if has(&["changing", "principal"]) {
            Some(
                "the framework was registered with another principal: give that one again, or uninstall and start anew"
                    .to_owned(),
            )
        } else if has(&["authorized", "role"]) || has(&["not authorized"]) {
            let grants: Vec<_> = self
                .roles
                .iter()
                .map(|role| format!("dcos:mesos:master:framework:role:{}", role.replace('/', "%252F")))
                .collect();
            Some(format!(
                "grant {name} the role {roles} (ACL register_frameworks; in DC/OS {}, create), or choose another with \
                 --mesos-role",
                grants.join(" ")
            ))
        } else if has(&["principal"]) {
            Some(format!("the framework names {name}: it has to be the one that the credentials are for"))
        } else {
            None
        }
    }

    fn name(&self) -> String {
        match self.credentials.principal() {
            Some(principal) => format!("principal `{principal}`"),
            None => "frameworks without a principal".to_owned(),
        }
    }
}

const OLD_MASTER: &str = "upgrade Mesos to 1.0 or later as its upgrade guide says, masters before agents; until then \
     mesos/logstash can go on, and this scheduler asks again now and then";

/// What helps a task that ended for lack of a right.
pub(super) const UNAUTHORIZED_TASK: &str = "the principal has to be allowed to run tasks as this user (ACL run_tasks; in \
     DC/OS dcos:mesos:master:task:user:USER and dcos:mesos:agent:task:user:USER, create), or choose another with \
     --mesos-user";

#[cfg(test)]
mod tests {
    use super::*;

    fn who(credentials: Credentials) -> Who {
        Who { credentials, roles: vec!["ops/logs".to_owned()] }
    }

    #[test]
    fn a_refusal_is_told_with_what_helps() {
        let secret = Credentials::Secret { principal: "shipper".to_owned(), file: "/s".into() };
        let error = |text: &str| DisconnectReason::Error { text: text.to_owned() };
        for (reason, words) in [
            (
                DisconnectReason::Unauthorized { text: "401".to_owned() },
                "principal `shipper` with the secret in /s",
            ),
            (error("Not authorized to use roles '{ ops/logs }'"), "framework:role:ops%252Flogs"),
            (
                error("User 'root' is not allowed to run frameworks without --root_submissions set"),
                "--mesos-user",
            ),
            (error("Roles '{ ops/logs }' are not present in the master's --roles"), "add ops/logs"),
            (error("Changing framework's principal is not allowed"), "give that one again"),
            (
                DisconnectReason::Refused {
                    status: 400,
                    text: "Authenticated principal 'a' does not match principal 'b' set in `FrameworkInfo`"
                        .to_owned(),
                },
                "the framework names principal `shipper`",
            ),
            (
                DisconnectReason::TooOld { master: "m:5050".to_owned(), version: "0.22.1".to_owned() },
                "upgrade Mesos to 1.0 or later",
            ),
        ] {
            let text = who(secret.clone()).remedy(&reason).unwrap_or_default();
            assert!(text.contains(words), "{reason}: {text}");
        }
        let silent = DisconnectReason::StreamEnded { text: "the peer closed it".to_owned() };
        assert_eq!(who(secret).remedy(&silent), None);
        let text = who(Credentials::None).remedy(&DisconnectReason::Unauthorized { text: String::new() });
        assert!(text.is_some_and(|text| text.contains("--mesos-secret-file")));
    }
}
