//! stub
#[derive(Debug)]
pub(crate) struct Watched;
impl Watched {
    pub(crate) fn new(_base: usize, _len: usize) -> Watched {
        Watched
    }
    pub(crate) fn is_truncated(&self) -> bool {
        false
    }
}
pub(crate) fn install() {}
