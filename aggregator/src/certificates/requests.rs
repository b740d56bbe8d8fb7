//! The few requests that certificates need, so that tests may play the API server.

use std::fmt;
use std::pin::Pin;

use crate::cluster::{Client, Dated, Error};

/// What comes of a request, later.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Dated, Error>> + Send + 'a>>;

/// Objects that are read and written by their names.
pub trait Requests: fmt::Debug + Send + Sync {
    /// Reads the object at a path.
    fn get<'a>(&'a self, path: &'a str) -> Answered<'a>;

    /// Replaces the object at a path, if it still has the version that this one names.
    fn put<'a>(&'a self, path: &'a str, object: Vec<u8>) -> Answered<'a>;

    /// Applies a JSON patch to the object at a path.
    fn patch<'a>(&'a self, path: &'a str, patch: Vec<u8>) -> Answered<'a>;
}

impl Requests for Client {
    fn get<'a>(&'a self, path: &'a str) -> Answered<'a> {
        Box::pin(self.get_dated(path))
    }

    fn put<'a>(&'a self, path: &'a str, object: Vec<u8>) -> Answered<'a> {
        Box::pin(self.put(path, object))
    }

    fn patch<'a>(&'a self, path: &'a str, patch: Vec<u8>) -> Answered<'a> {
        Box::pin(self.json_patch(path, patch))
    }
}
