//! What objects look like, for `kubectl explain` and for who checks what it is sent: `OpenAPI` 2 and 3, as JSON.
//!
//! The API server fetches these and adds them to its own. Of version 3 it reads an index first, whose addresses
//! name what the document is by its hash, so that nobody fetches the same twice.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::super::path;
use super::discovery::{GROUP_VERSION, document, hash, tagged};
use super::sent;
use super::target::{GROUP, VERSION};

/// The document of the only version, and what its address begins with.
const V3: &str = "/openapi/v3/apis/metrics.k8s.io/v1beta1";

/// Begins the name of every type of the group, as clients know them.
const TYPES: &str = "io.k8s.metrics.pkg.apis.metrics.v1beta1";

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const DURATION: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Duration";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Answers for version 2.
pub(super) fn v2(headers: &HeaderMap, query: Option<&str>) -> Response {
    let info = json!({"title": "Cairn", "version": concat!("v", env!("CARGO_PKG_VERSION"))});
    let spec = json!({"swagger": "2.0", "info": info, "paths": paths(Form::V2),
        "definitions": Form::V2.schemas()});
    tagged(headers, query, "application/json", &spec)
}

/// Answers for the index of version 3.
pub(super) fn index(headers: &HeaderMap, query: Option<&str>) -> Response {
    let url = format!("{V3}?hash={}", hash_of_v3());
    let list = json!({"paths": {"apis/metrics.k8s.io/v1beta1": {"serverRelativeURL": url}}});
    document(headers, query, &list)
}

/// Answers for the document of version 3; who knows an older one is sent to this one.
pub(super) fn v3(headers: &HeaderMap, query: Option<&str>) -> Response {
    let asked = path::parameter(query, "hash");
    let now = hash_of_v3();
    if asked.as_ref().is_some_and(|asked| *asked != now) {
        let mut response = sent::small(StatusCode::MOVED_PERMANENTLY, "application/json", "");
        if let Ok(url) = HeaderValue::from_str(&format!("{V3}?hash={now}")) {
            response.headers_mut().insert(header::LOCATION, url);
        }
        return response;
    }
    let mut response = tagged(headers, query, "application/json", &spec_of_v3());
    if asked.is_some() {
        // Of this address there is never another.
        let for_ever = HeaderValue::from_static("public, immutable");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, for_ever);
    }
    response
}

fn hash_of_v3() -> String {
    hash(&sent::json(&spec_of_v3(), false))
}

fn spec_of_v3() -> Value {
    let info = json!({"title": "Cairn", "version": concat!("v", env!("CARGO_PKG_VERSION"))});
    json!({"openapi": "3.0.0", "info": info, "paths": paths(Form::V3),
        "components": {"schemas": Form::V3.schemas()}})
}

/// How a document says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V2,
    V3,
}

/// What can be asked for, and what comes back.
fn paths(form: Form) -> Value {
    let mut paths = Map::new();
    let root = format!("/apis/{GROUP_VERSION}");
    for (rest, action, kind, of) in [
        ("nodes", "list", "NodeMetrics", "NodeMetricsList"),
        ("nodes/{name}", "get", "NodeMetrics", "NodeMetrics"),
        ("pods", "list", "PodMetrics", "PodMetricsList"),
        (
            "namespaces/{namespace}/pods",
            "list",
            "PodMetrics",
            "PodMetricsList",
        ),
        (
            "namespaces/{namespace}/pods/{name}",
            "get",
            "PodMetrics",
            "PodMetrics",
        ),
    ] {
        let path = format!("{root}/{rest}");
        let described = |name: &str| {
            let mut parameter = json!({"name": name, "in": "path", "required": true});
            form.typed(&mut parameter);
            parameter
        };
        let in_path = ["namespace", "name"].into_iter();
        let in_path = in_path.filter(|name| rest.contains(&format!("{{{name}}}")));
        let parameters: Vec<Value> = in_path.map(described).collect();
        let operation = json!({
            "description": format!("{action} objects of kind {kind}"),
            "operationId": format!("{action}MetricsV1beta1{}", rest.replace(['/', '{', '}'], "")),
            "parameters": parameters,
            "responses": {"200": form.answer(of), "401": {"description": "Unauthorized"}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(kind),
        });
        paths.insert(path, json!({"get": operation}));
    }
    Value::Object(paths)
}

fn gvk(kind: &str) -> Value {
    json!({"group": GROUP, "version": VERSION, "kind": kind})
}

impl Form {
    fn typed(self, parameter: &mut Value) {
        let Some(parameter) = parameter.as_object_mut() else {
            return;
        };
        match self {
            Form::V2 => parameter.insert("type".to_owned(), json!("string")),
            Form::V3 => parameter.insert("schema".to_owned(), json!({"type": "string"})),
        };
    }

    fn answer(self, kind: &str) -> Value {
        let schema = self.refers(&format!("{TYPES}.{kind}"));
        match self {
            Form::V2 => json!({"description": "OK", "schema": schema}),
            Form::V3 => {
                let content = json!({"application/json": {"schema": schema}});
                json!({"description": "OK", "content": content})
            }
        }
    }

    fn refers(self, name: &str) -> Value {
        let root = match self {
            Form::V2 => "#/definitions",
            Form::V3 => "#/components/schemas",
        };
        json!({"$ref": format!("{root}/{name}")})
    }

    /// One property of another type. Version 3 says nothing beside a reference.
    fn property(self, name: &str, description: &str) -> Value {
        match self {
            Form::V2 => {
                let mut property = self.refers(name);
                if let Some(property) = property.as_object_mut() {
                    property.insert("description".to_owned(), json!(description));
                }
                property
            }
            Form::V3 => json!({"description": description, "allOf": [self.refers(name)]}),
        }
    }

    /// Every type, by name.
    fn schemas(self) -> Value {
        let own = |kind: &str| format!("{TYPES}.{kind}");
        let mut all = Map::new();
        all.insert(own("NodeMetrics"), self.node());
        all.insert(own("PodMetrics"), self.pod());
        all.insert(own("ContainerMetrics"), self.container());
        for (kind, of) in [
            ("NodeMetricsList", "NodeMetrics"),
            ("PodMetricsList", "PodMetrics"),
        ] {
            all.insert(own(kind), self.list(kind, &own(of)));
        }
        all.insert(OBJECT_META.to_owned(), object_meta(self));
        all.insert(
            LIST_META.to_owned(),
            json!({"type": "object",
            "description": "Nothing: lists have neither a version nor an end to go on from."}),
        );
        let text = |description: &str| json!({"type": "string", "description": description});
        all.insert(QUANTITY.to_owned(), text(
            "An amount with a suffix: nanocores to cores (n, u, m, none) of CPU, bytes (none, Ki, Mi, Gi) of memory."));
        all.insert(DURATION.to_owned(), text("A span, such as 30s or 1m0.5s."));
        all.insert(
            TIME.to_owned(),
            json!({"type": "string", "format": "date-time",
            "description": "A time in RFC 3339, in whole seconds and UTC."}),
        );
        Value::Object(all)
    }

    fn usage(self, of: &str) -> Value {
        json!({"type": "object", "additionalProperties": self.refers(QUANTITY),
            "description": format!("What the {of} uses, by resource: cpu over the window, and memory (the \
                working set) and, where it is known, swap as measured last.")})
    }

    /// What every object has, and what is its own.
    fn object(self, kind: &str, description: &str, own: &[(&str, Value)]) -> Value {
        let mut properties = Map::new();
        for (name, description) in [
            ("apiVersion", "The group and version of the object."),
            ("kind", "The kind of the object."),
        ] {
            properties.insert(
                name.to_owned(),
                json!({"type": "string", "description": description}),
            );
        }
        let meta = "Name, namespace and labels of what is measured; the time of creation is that of the request.";
        properties.insert("metadata".to_owned(), self.property(OBJECT_META, meta));
        let time = "When the window ends; of several containers, the earliest.";
        properties.insert("timestamp".to_owned(), self.property(TIME, time));
        let window = "The span that the CPU was measured over; it ends at the timestamp.";
        properties.insert("window".to_owned(), self.property(DURATION, window));
        let required = ["timestamp", "window"].into_iter();
        let required: Vec<&str> = required.chain(own.iter().map(|(name, _)| *name)).collect();
        properties.extend(
            own.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        json!({"type": "object", "description": description, "required": required,
            "properties": properties, "x-kubernetes-group-version-kind": [gvk(kind)]})
    }

    fn node(self) -> Value {
        let own = [("usage", self.usage("node"))];
        self.object("NodeMetrics", "NodeMetrics is what a node uses.", &own)
    }

    fn pod(self) -> Value {
        let items = self.refers(&format!("{TYPES}.ContainerMetrics"));
        let containers = json!({"type": "array", "items": items,
            "description": "What each of its containers uses, by name: all that run, or the pod is not there."});
        let own = [("containers", containers)];
        self.object(
            "PodMetrics",
            "PodMetrics is what the containers of a pod use.",
            &own,
        )
    }

    fn container(self) -> Value {
        json!({"type": "object", "description": "ContainerMetrics is what a container uses.",
            "required": ["name", "usage"], "properties": {
                "name": {"type": "string", "description": "The name of the container in its pod."},
                "usage": self.usage("container")}})
    }

    fn list(self, kind: &str, of: &str) -> Value {
        json!({"type": "object", "description": format!("{kind} is a list, by namespace and name."),
            "required": ["items"], "properties": {
                "apiVersion": {"type": "string", "description": "The group and version of the list."},
                "kind": {"type": "string", "description": "The kind of the list."},
                "metadata": self.property(LIST_META, "Nothing."),
                "items": {"type": "array", "items": self.refers(of), "description": "The objects."}},
            "x-kubernetes-group-version-kind": [gvk(kind)]})
    }
}

fn object_meta(form: Form) -> Value {
    json!({"type": "object", "description": "What an object is called.", "properties": {
        "name": {"type": "string", "description": "The name of the node or pod."},
        "namespace": {"type": "string", "description": "The namespace of the pod."},
        "creationTimestamp": form.property(TIME, "When it was asked for."),
        "labels": {"type": "object", "additionalProperties": {"type": "string"},
            "description": "The labels of the node or pod."}}})
}
