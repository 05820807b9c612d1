#include <cstdio>

#include "cli/command.h"
#include "core/file.h"
#include "train/report/report.h"

namespace fathom::cli {
namespace {

struct Arguments {
  std::string run, out;
};

int report(const Arguments& arguments) {
  const std::string html = report_html(arguments.run);
  const std::filesystem::path out = arguments.out.empty()
                                        ? std::filesystem::path(arguments.run) / "report.html"
                                        : std::filesystem::path(arguments.out);
  write_text(out, html);
  std::printf("%s\n", out.c_str());
  return 0;
}

}  // namespace

void add_report(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "report", "Show a run as one HTML page: curves, metrics, examples, configuration");
  const auto a = std::make_shared<Arguments>();
  command->add_option("run", a->run, "Folder of a run (train --out)")->required();
  command->add_option("--out", a->out, "Page to write (default: report.html in the run's folder)");
  command->callback([a, &action] { action = [a] { return report(*a); }; });
}

}  // namespace fathom::cli
