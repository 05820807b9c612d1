#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/report.h"

namespace fathom::bench {

/// Measurements of several libraries on one machine, as bench/compare writes them.
struct Baselines {
  struct Bar {
    std::string name, group;  // "onnxruntime f32", "f32"
    int threads = 1;
    double median_ms = 0, peak_mib = 0;
  };
  std::string file, cpu, model;
  std::vector<Bar> bars;
};

/// What a page is made of: reports of fathom bench, oldest first, and baselines.
struct PageContent {
  std::vector<Report> reports;
  std::vector<Baselines> baselines;
};

/// Reads files of both kinds, told apart by their content. Throws Error naming the file.
PageContent read_page_content(const std::vector<std::filesystem::path>& files);

/// One page without references to anything outside it: the roofline of the newest report, its
/// models' windows, baselines as bars, the history of rows that several reports have, and all rows
/// as a table.
std::string page(const PageContent& content);

}  // namespace fathom::bench
