#include "binding/cube_requests.h"

#include "binding/arguments.h"

namespace semgen::binding {

namespace {

PhiloxStream stream(const Napi::Value &value) {
  const Napi::Object given = object(value, "a random stream");
  return {tuple<uint32_t, 2>(given.Get("key"), "key", word), tuple<uint32_t, 3>(given.Get("counter"), "counter", word)};
}

std::vector<Block> blocks(const Napi::Value &value) {
  const Napi::Array items = list(value, "blocks");
  std::vector<Block> result;
  for (uint32_t i = 0; i < items.Length(); i++) {
    const Napi::Object given = object(items.Get(i), "a block");
    result.push_back({extents(given.Get("start"), "start"), extents(given.Get("size"), "size")});
  }
  return result;
}

PerturbationStep step(const Napi::Object &given) {
  const Napi::Value name = given.Get("kind");
  const std::string kind = name.IsString() ? name.As<Napi::String>().Utf8Value() : "";
  if (kind == "elastic")
    return Elastic{tuple<double, 3>(given.Get("sigma"), "sigma", number),
                   tuple<double, 2>(given.Get("alpha"), "alpha", number), stream(given.Get("noise"))};
  if (kind == "shuffling")
    return Shuffle{whole(given.Get("blocks"), "blocks"), extents(given.Get("largest"), "largest"),
                   stream(given.Get("draws"))};
  if (kind == "nonlinear")
    return Nonlinear{tuple<double, 2>(given.Get("x"), "x", number), tuple<double, 2>(given.Get("y"), "y", number),
                     flag(given.Get("inverted"), "inverted")};
  if (kind == "inpainting" || kind == "outpainting")
    return Paint{blocks(given.Get("blocks")), kind == "outpainting", stream(given.Get("noise"))};
  if (kind == "rotation") return Rotate{whole(given.Get("quarterTurns"), "quarterTurns")};
  throw Error("BAD_OPTION", "A perturbation has no step named \"" + kind + "\".");
}

Perturbation perturbation(const Napi::Object &given) {
  Perturbation result;
  result.flips = tuple<bool, 3>(given.Get("flips"), "flips", flag);
  const Napi::Array steps = list(given.Get("steps"), "steps");
  for (uint32_t i = 0; i < steps.Length(); i++) result.steps.push_back(step(object(steps.Get(i), "a step")));
  return result;
}

}  // namespace

std::shared_ptr<std::vector<CubeRequest>> cubeRequests(const Napi::Value &value, Napi::Array &kept) {
  const Napi::Array given = list(value, "requests");
  auto requests = std::make_shared<std::vector<CubeRequest>>();
  for (uint32_t i = 0; i < given.Length(); i++) {
    const Napi::HandleScope scope(given.Env());
    const Napi::Object request = object(given.Get(i), "a request");
    CubeRequest &last = requests->emplace_back();
    last.scan = scan(object(request.Get("scan"), "scan"), kept);
    last.start = extents(request.Get("start"), "start");
    last.size = extents(request.Get("size"), "size");
    const Napi::Value drawn = request.Get("perturbation");
    if (!drawn.IsUndefined()) last.perturbation = perturbation(object(drawn, "perturbation"));
  }
  return requests;
}

}  // namespace semgen::binding
