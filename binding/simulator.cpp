// What the sim engine can tell beside results: counters of its kernels, the schedule's seed. Empty for other engines.
#include "binding/rooms.h"

#ifdef SEMGEN_SIMULATOR
#include "cuda/simulator/simulator.h"

namespace semgen::binding {

namespace {

Napi::Value counters(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  auto all = simulator::counters();
  auto list = Napi::Array::New(env, all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const simulator::KernelCounters &from = all[i];
    auto to = Napi::Object::New(env);
    auto number = [&](const char *name, double value) { to.Set(name, Napi::Number::New(env, value)); };
    auto triple = [&](const char *name, const uint32_t(&values)[3]) {
      auto array = Napi::Array::New(env, 3);
      for (uint32_t k = 0; k < 3; ++k) array.Set(k, Napi::Number::New(env, values[k]));
      to.Set(name, array);
    };
    to.Set("kernel", Napi::String::New(env, from.kernel));
    number("launches", double(from.launches));
    number("blocks", double(from.blocks));
    number("threads", double(from.threads));
    number("sectorsRead", double(from.sectorsRead));
    number("sectorsReadIdeal", double(from.sectorsReadIdeal));
    number("sectorsWritten", double(from.sectorsWritten));
    number("sectorsWrittenIdeal", double(from.sectorsWrittenIdeal));
    number("distinctSectorsRead", double(from.distinctSectorsRead));
    number("distinctSectorsWritten", double(from.distinctSectorsWritten));
    number("bytesRead", double(from.bytesRead));
    number("bytesWritten", double(from.bytesWritten));
    number("sharedWavefronts", double(from.sharedWavefronts));
    number("bankConflicts", double(from.bankConflicts));
    number("mmaBf16", double(from.mmaBf16));
    number("mmaTf32", double(from.mmaTf32));
    number("tensorFlop", double(from.tensorFlop));
    number("barriers", double(from.barriers));
    number("dynamicShared", double(from.dynamicShared));
    number("seconds", from.seconds);
    triple("grid", from.grid);
    triple("block", from.block);
    list.Set(uint32_t(i), to);
  }
  return list;
}

}  // namespace

void registerSimulator(Napi::Env env, Napi::Object exports) {
  auto simulator = Napi::Object::New(env);
  simulator.Set("counters", Napi::Function::New(env, counters));
  simulator.Set("resetCounters",
                Napi::Function::New(env, [](const Napi::CallbackInfo &) { simulator::resetCounters(); }));
  simulator.Set("setSeed", Napi::Function::New(env, [](const Napi::CallbackInfo &info) {
                  simulator::setSeed(uint64_t(info[0].As<Napi::Number>().Int64Value()));
                }));
  exports.Set("simulator", simulator);
}

}  // namespace semgen::binding

#else

namespace semgen::binding {
void registerSimulator(Napi::Env, Napi::Object) {}
}  // namespace semgen::binding

#endif
