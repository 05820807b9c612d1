#include "train/report/report.h"

#include "tests/scratch.h"
#include "tests/testing.h"
#include "tests/train/stages/made_scenes.h"
#include "train/stages/teacher.h"

namespace fathom {

using Catch::Contains;

TEST_CASE("report: one page with curves, metrics, pictures and configuration, and no other file") {
  const ScratchFolder scratch("report");
  make_scenes(scratch.path / "data", 4);
  const TrainConfig config = scene_config(scratch.path / "data");
  train_teacher(config, {.out = scratch.path / "run <1>"});
  const std::string html = report_html(scratch.path / "run <1>");
  CHECK_THAT(html, Contains("<h1>run &lt;1&gt;</h1>"));
  CHECK_THAT(html, Contains("<svg") && Contains("Learning rate") && Contains("Throughput"));
  CHECK_THAT(html, Contains("delta1") && Contains("abs_rel"));
  CHECK_THAT(html, Contains("data:image/png;base64,iVBORw0KGgo"));
  CHECK_THAT(html, Contains("decoder_factor"));
  CHECK_THAT(html, !Contains("src=\"http") && !Contains("href="));
  size_t pictures = 0;
  for (size_t at = 0; (at = html.find("<img ", at)) != std::string::npos; ++at) ++pictures;
  CHECK(pictures == 2 * 4);
}

TEST_CASE("report: other folders are refused") {
  const ScratchFolder scratch("report");
  CHECK_THROWS_WITH(report_html(scratch.path), Contains("not the folder of a run"));
}

}  // namespace fathom
