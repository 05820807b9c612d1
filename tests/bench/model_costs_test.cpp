#include "bench/model_costs.h"

#include "nn/module.h"
#include "tests/testing.h"

namespace fathom::bench {

// Printed by the independent count that the floors of the project were planned with, for
// 518 x 518: FLOPs and bytes of an image (batch 1 and 16), and seconds of a batch on 798 TFLOP/s,
// 3 TB/s and 16 exponentials a clock on 132 multiprocessors at 1.755 GHz.
struct Planned {
  ModelSize size;
  int64_t element_bytes;
  bool training;
  Order order;
  double flops, bytes_1, bytes_16, floor_1, floor_16;
};
static const Planned kPlanned[] = {
    {ModelSize::S, 2, false, Order::fused, 114552741120, 500089852, 453892012, 0.000197698542426,
     0.00299902889817},
    {ModelSize::S, 2, true, Order::fused, 365304641536, 2642070356, 1670637564.125,
     0.000996977773363, 0.011004430221},
    {ModelSize::S, 2, false, Order::published, 115267534080, 586901620, 540703720,
     0.000222649650216, 0.0033981541428},
    {ModelSize::S, 2, true, Order::published, 362486099712, 2872190588, 1900757556.125,
     0.00105925130052, 0.0120004367355},
    {ModelSize::B, 2, false, Order::fused, 377841471744, 1090566076, 908633116, 0.000541550706436,
     0.00857271283409},
    {ModelSize::B, 2, true, Order::fused, 1176800078848, 7274998868, 3447152316.125,
     0.00287812023993, 0.0292486201968},
    {ModelSize::B, 2, false, Order::published, 380700643584, 1230380724, 1048447704,
     0.000579847047068, 0.00918526964419},
    {ModelSize::B, 2, true, Order::published, 1175468925696, 7633812604, 3805965812.125,
     0.00296787116779, 0.0306838964825},
    {ModelSize::L, 2, false, Order::fused, 1292780431616, 2882186812, 2256395452, 0.00175547329563,
     0.0280591707568},
    {ModelSize::L, 2, true, Order::fused, 3988757480448, 21987805524, 8805475852.125,
     0.00946788535512, 0.0940167297115},
    {ModelSize::L, 2, false, Order::published, 1304217118976, 3128007220, 2502215800,
     0.00182046010194, 0.0290985906979},
    {ModelSize::L, 2, true, Order::published, 4003267377920, 22604006268, 9421676356.125,
     0.00961259108438, 0.0963305455397},
    {ModelSize::S, 4, false, Order::fused, 114552741120, 998301436, 905905756, 0.000344561044602,
     0.00502365385191},
    {ModelSize::S, 4, true, Order::fused, 365304641536, 3890018034, 2874073524, 0.00135370594733,
     0.0162511024122},
    {ModelSize::S, 4, false, Order::published, 115267534080, 1172998268, 1080602468,
     0.000400682459058, 0.00592141152321},
    {ModelSize::S, 4, true, Order::published, 362486099712, 4353478258, 3337533388, 0.0015014900467,
     0.0186152774421},
    {ModelSize::B, 4, false, Order::fused, 377841471744, 2179253884, 1815387964, 0.000751589773865,
     0.0103874443368},
    {ModelSize::B, 4, true, Order::fused, 1176800078848, 9861243186, 5855112276, 0.00340469836823,
     0.0340053568829},
    {ModelSize::B, 4, false, Order::published, 380700643584, 2459956476, 2096090436,
     0.000840599333163, 0.0118112280055},
    {ModelSize::B, 4, true, Order::published, 1175468925696, 10582090418, 6575959148,
     0.00363092452345, 0.0376242361666},
    {ModelSize::L, 4, false, Order::fused, 1292780431616, 5762495356, 4510912636, 0.00209245163283,
     0.0312074181908},
    {ModelSize::L, 4, true, Order::fused, 3988757480448, 28572732594, 14771302164, 0.0101153599418,
     0.0992452685738},
    {ModelSize::L, 4, false, Order::published, 1304217118976, 6255209468, 5003626628,
     0.00224723748181, 0.0336832538545},
    {ModelSize::L, 4, true, Order::published, 4003267377920, 29808353842, 16006923052,
     0.0104984702088, 0.105373556365},
};
static const Roof kRoof{.flops = 798e12, .bytes = 3e12, .exponentials = 16 * 132 * 1.755e9};

TEST_CASE("costs: totals and floors equal those of the plan") {
  for (const Planned& planned : kPlanned) {
    const DepthAnythingConfig model = depth_anything_config(2, planned.size);
    const CostOptions options{.element_bytes = planned.element_bytes,
                              .training = planned.training,
                              .order = planned.order};
    std::vector<OpCost> ops = forward_costs(model, options);
    if (planned.training) {
      for (const OpCost& op : backward_costs(model, options)) ops.push_back(op);
      for (const OpCost& op : update_costs(model, options)) ops.push_back(op);
    }
    CAPTURE(int(planned.size), planned.element_bytes, planned.training, int(planned.order));
    // Sums of doubles in another order.
    CHECK(total_flops(ops) == Approx(planned.flops).epsilon(1e-12));
    CHECK(total_bytes(ops, 1) == Approx(planned.bytes_1).epsilon(1e-12));
    CHECK(total_bytes(ops, 16) == Approx(planned.bytes_16).epsilon(1e-12));
    CHECK(floor_s(ops, 1, kRoof) == Approx(planned.floor_1).epsilon(1e-10));
    CHECK(floor_s(ops, 16, kRoof) == Approx(planned.floor_16).epsilon(1e-10));
  }
}

static const OpCost& named(const std::vector<OpCost>& ops, const std::string& name) {
  for (const OpCost& op : ops)
    if (op.name == name) return op;
  fail("no op ", name);
}

TEST_CASE("costs: three ops counted by hand") {
  const auto S = depth_anything_config(2, ModelSize::S);
  const std::vector<OpCost> ops = forward_costs(S, {.height = 518, .width = 686});
  // 37 * 49 + 1 = 1814 tokens of 384 channels, 6 heads, 12 layers, 2 bytes an element.
  const OpCost& attention = named(ops, "attention");
  CHECK(attention.count == 12);
  CHECK(attention.flops == 2 * 2.0 * 1814 * 1814 * 384);       // q k^T and p v
  CHECK(attention.image_bytes == (3 + 1) * 1814.0 * 384 * 2);  // q, k, v read, y written
  CHECK(attention.exponentials == 6.0 * 1814 * 1814);
  const OpCost& qkv = named(ops, "qkv");
  CHECK(qkv.flops == 2.0 * 1814 * 384 * 1152);
  CHECK(qkv.image_bytes == (1814.0 * 384 + 1814.0 * 1152) * 2);
  CHECK(qkv.weight_bytes == 384.0 * 1152 * 2);
  // The finest fusion: 148 x 196 pixels, 64 features; its second convolution adds the first's
  // input.
  const OpCost& conv = named(ops, "refinenet1 rcu conv2");
  CHECK(conv.count == 2);
  CHECK(conv.flops == 2.0 * 148 * 196 * 9 * 64 * 64);
  CHECK(conv.image_bytes == 3 * 148.0 * 196 * 64 * 2);
  CHECK(conv.weight_bytes == 9.0 * 64 * 64 * 2);
}

TEST_CASE("costs: the parameters are those of the models") {
  const ParameterCounts L = count_parameters(depth_anything_config(2, ModelSize::L));
  CHECK(L.encoder == 304368640);
  CHECK(L.decoder == 30947009);
  const auto S = depth_anything_config(2, ModelSize::S);
  const ParameterCounts n = count_parameters(S);
  CHECK(n.encoder + n.decoder == parameter_count(DepthAnything(S)));
}

TEST_CASE("costs: what cannot be counted is refused") {
  CHECK_THROWS_WITH(forward_costs(depth_anything_config(2, ModelSize::g), {}),
                    Catch::Contains("SwiGLU"));
  const auto S = depth_anything_config(2, ModelSize::S);
  CHECK_THROWS_WITH(forward_costs(S, {.height = 500}), Catch::Contains("multiple of the patch"));
  CHECK_THROWS_WITH(forward_costs(S, {.element_bytes = 8}), Catch::Contains("2 or 4"));
}

}  // namespace fathom::bench
