//! What goes wrong, as an object `Status`: clients of Kubernetes read nothing else.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::accept::{self, Media};
use super::sent;
use super::wire::{Message, envelope};

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Status {
    code: StatusCode,
    reason: &'static str,
    message: String,
    // Boxed: most answers are no refusals.
    details: Option<Box<Details>>,
    retry_after_s: Option<u32>,
}

/// What it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in super::super) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in super::super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in super::super) group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in super::super) kind: String,
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Nothing,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    code: u16,
}

#[derive(Serialize)]
struct Nothing {}

impl Details {
    /// Something by name, of a kind of a group; empty is left out.
    pub(in super::super) fn of(name: &str, group: &str, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            retry_after_s: None,
        }
    }
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after_s: None,
        }
    }

    /// Who asks has not proved who they are.
    pub(in super::super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// Who asks may not.
    pub(in super::super) fn forbidden(details: Details, why: &str) -> Self {
        let Details {
            name, group, kind, ..
        } = &details;
        let what = match (kind.is_empty(), group.is_empty()) {
            (true, _) => String::new(),
            (false, true) => kind.clone(),
            (false, false) => format!("{kind}.{group}"),
        };
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self {
            details: Some(Box::new(details)),
            ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
        }
    }

    /// Nobody could say whether who asks may.
    pub(in super::super) fn undecided() -> Self {
        let message =
            "whether this is allowed could not be found out: the Kubernetes API gave no answer";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Who asks has too many questions about rights under way.
    pub(in super::super) fn too_many_questions() -> Self {
        let message = "too many questions about what is allowed are under way: try again later";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
        }
    }

    /// Whose token it is could not be asked: too many wait.
    pub(in super::super) fn too_many_tokens() -> Self {
        let message = "too many tokens wait for their review: try again later";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
        }
    }

    /// There is no such thing.
    pub(in super::super) fn not_found(details: Details, message: String) -> Self {
        Self {
            details: Some(Box::new(details)),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    /// The question cannot be read.
    pub(in super::super) fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// There is no such form of an answer.
    pub(in super::super) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json, \
                       application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// Lists end.
    pub(in super::super) fn no_watch(details: Details) -> Self {
        let message = format!(
            "watch is not supported on resources of kind \"{}.{}\"",
            details.kind, details.group
        );
        Self {
            details: Some(Box::new(details)),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }

    /// It cannot be answered now, and perhaps a moment later.
    pub(in super::super) fn unavailable(message: String, retry_after_s: u32) -> Self {
        Self::again(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
            retry_after_s,
        )
    }

    /// There is no room for it now.
    pub(in super::super) fn too_many(message: String, retry_after_s: u32) -> Self {
        Self::again(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            message,
            retry_after_s,
        )
    }

    fn again(code: StatusCode, reason: &'static str, message: String, after_s: u32) -> Self {
        Self {
            retry_after_s: Some(after_s),
            details: Some(Box::new(Details {
                retry_after_s: Some(after_s),
                ..Details::default()
            })),
            ..Self::new(code, reason, message)
        }
    }

    /// The answer, in a form that the client reads.
    pub(in super::super) fn response(&self, headers: &HeaderMap, query: Option<&str>) -> Response {
        let media = accept::of_status(headers);
        let body = match media {
            Media::Protobuf => envelope("v1", "Status", &self.message()),
            Media::Json | Media::Yaml => {
                let written = Written {
                    kind: "Status",
                    api_version: "v1",
                    metadata: Nothing {},
                    status: "Failure",
                    message: &self.message,
                    reason: self.reason,
                    details: self.details.as_deref(),
                    code: self.code.as_u16(),
                };
                sent::json(&written, sent::is_pretty(headers, query))
            }
        };
        let mut response = sent::small(self.code, media.as_str(), body);
        if let Some(after_s) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after_s));
        }
        response
    }

    fn message(&self) -> Message {
        let mut list = Message::default();
        list.bytes(1, "").bytes(2, "").bytes(3, "");
        let mut status = Message::default();
        status
            .bytes(1, list)
            .bytes(2, "Failure")
            .bytes(3, &self.message)
            .bytes(4, self.reason);
        if let Some(details) = &self.details {
            let mut message = Message::default();
            message
                .bytes(1, &details.name)
                .bytes(2, &details.group)
                .bytes(3, &details.kind)
                .number(5, u64::from(details.retry_after_s.unwrap_or(0)))
                .bytes(6, "");
            status.bytes(5, message);
        }
        status.number(6, u64::from(self.code.as_u16()));
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_there_is_of_a_name() {
        let of =
            |name, group, kind| Status::forbidden(Details::of(name, group, kind), "no").message;
        assert_eq!(
            of("", "metrics.k8s.io", "pods"),
            "pods.metrics.k8s.io is forbidden: no"
        );
        assert_eq!(
            of("web", "metrics.k8s.io", "pods"),
            "pods.metrics.k8s.io \"web\" is forbidden: no"
        );
        assert_eq!(of("", "", "pods"), "pods is forbidden: no");
        assert_eq!(of("", "", ""), "forbidden: no");
    }
}
