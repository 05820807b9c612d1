#pragma once

namespace fathom {

/// Lets the C library keep up to 64 MiB of freed memory a thread. By default it returns blocks of a
/// photo's size to the system at once, which gives them back page by page, cleared. For the whole
/// process; for good.
void keep_freed_memory();

}  // namespace fathom
