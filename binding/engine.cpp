// Engine, Tensor and Program as JavaScript classes. Compiled once an engine from this one file.
#include "engine/engine.h"

#include <napi.h>

#include <atomic>

#include "binding/async.h"
#include "binding/objects.h"
#include "binding/rooms.h"
#include "binding/runner.h"
#include "binding/tiles.h"

namespace semgen::binding {

namespace {

Shape shapeFrom(const Napi::Value &value) {
  if (!value.IsArray()) throw Error("NATIVE", "A shape is a list of whole numbers.");
  auto list = value.As<Napi::Array>();
  if (list.Length() > 6) throw Error("NATIVE", "A tensor has at most six extents.");
  Shape shape;
  double count = 1;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    double extent = list.Get(i).ToNumber().DoubleValue();
    count *= extent;
    if (!(extent >= 1) || extent != double(int64_t(extent)) || count > 1e12)
      throw Error("NATIVE", "A tensor's extents are whole numbers above 0, of at most 10^12 elements in all.");
    shape.push_back(int64_t(extent));
  }
  return shape;
}

DType dtypeFrom(const Napi::Value &value) {
  std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  if (name == "i32") return DType::i32;
  throw Error("NATIVE", "An element type is \"f32\", \"bf16\" or \"i32\", not \"" + name + "\".");
}

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {InstanceMethod("freeBytes", &EngineObject::freeBytes), InstanceMethod("processor", &EngineObject::processor)});
  }
  explicit EngineObject(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    guarded(info.Env(), [&] {
      EngineOptions options;
      Napi::Object given = info[0].ToObject();
      options.threads = given.Get("threads").ToNumber().Int32Value();
      options.gpu = given.Get("gpu").ToNumber().Int32Value();
      options.hostMemory = size_t(given.Get("hostMemory").ToNumber().Int64Value());
      options.tf32 = given.Get("tf32").ToBoolean();
      options.tiles = tilesFrom(given.Get("tiles"));
      engine = openEngine(options);
      runner = std::make_shared<Runner>();
    });
  }
  std::shared_ptr<Engine> engine;
  std::shared_ptr<Runner> runner;

 private:
  Napi::Value freeBytes(const Napi::CallbackInfo &info) {
    return guarded(info.Env(),
                   [&]() -> Napi::Value { return Napi::Number::New(info.Env(), double(engine->freeBytes())); });
  }
  Napi::Value processor(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::String::New(info.Env(), engine->processor()); });
  }
};

class TensorObject : public Napi::ObjectWrap<TensorObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Tensor",
                       {InstanceMethod("read", &TensorObject::read), InstanceMethod("write", &TensorObject::write),
                        InstanceMethod("copy", &TensorObject::copy)});
  }
  explicit TensorObject(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    guarded(info.Env(), [&] {
      DType dtype = dtypeFrom(info[2]);
      if (dtype == DType::bf16) throw Error("NATIVE", "Persistent tensors are f32 or i32.");
      const auto *owner = EngineObject::Unwrap(info[0].As<Napi::Object>());
      tensor = std::make_shared<Tensor>(owner->engine, shapeFrom(info[1]), dtype);
      Napi::MemoryManagement::AdjustExternalMemory(info.Env(), int64_t(tensor->bytes()));
    });
  }
  std::shared_ptr<Tensor> tensor;

 private:
  /// The bytes of a typed array of the tensor's type and size.
  char *bytesOf(const Napi::Value &value) {
    auto wanted = tensor->dtype == DType::i32 ? napi_int32_array : napi_float32_array;
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != wanted ||
        int64_t(value.As<Napi::TypedArray>().ElementLength()) != tensor->count())
      throw Error("NATIVE", "A tensor of " + describe(tensor->shape) + " takes " +
                                (wanted == napi_int32_array ? "an Int32Array" : "a Float32Array") + " of " +
                                std::to_string(tensor->count()) + " elements.");
    auto array = value.As<Napi::TypedArray>();
    return static_cast<char *>(array.ArrayBuffer().Data()) + array.ByteOffset();
  }
  Napi::Value read(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      tensor->read(bytesOf(info[0]));
      return info[0];
    });
  }
  void write(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] { tensor->write(bytesOf(info[0])); });
  }
  void copy(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] {
      const Tensor &from = *tensorOf(info[0]);
      if (from.dtype != tensor->dtype || from.count() != tensor->count())
        throw Error("NATIVE", "A tensor of " + describe(tensor->shape) + " takes no copy of one of " +
                                  describe(from.shape) + ", or of another type.");
      tensor->copy(from);
    });
  }
};

class ProgramObject : public Napi::ObjectWrap<ProgramObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Program",
        {InstanceMethod("activation", &ProgramObject::activation), InstanceMethod("opaque", &ProgramObject::opaque),
         InstanceMethod("bind", &ProgramObject::bind), InstanceMethod("record", &ProgramObject::record),
         InstanceMethod("compile", &ProgramObject::compile), InstanceMethod("run", &ProgramObject::run),
         InstanceMethod("abort", &ProgramObject::abort), InstanceMethod("release", &ProgramObject::release)});
  }
  explicit ProgramObject(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    auto *engine = EngineObject::Unwrap(info[0].As<Napi::Object>());
    state_ = std::make_shared<State>(engine->engine);
    runner_ = engine->runner;
  }
  ~ProgramObject() override {
    if (state_) state_->abort = true;
  }

 private:
  struct State {
    explicit State(std::shared_ptr<Engine> engine) : program(std::move(engine)) {}
    Program program;
    std::atomic<bool> abort{false}, running{false};
    std::vector<double> seconds;
  };

  Program &program() {
    if (!state_) throw Error("NATIVE", "A program was used after it was disposed of.");
    if (state_->running) throw Error("NATIVE", "A program was used while it runs.");
    return state_->program;
  }

  Napi::Value activation(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), program().activation(shapeFrom(info[0]), dtypeFrom(info[1])));
    });
  }
  Napi::Value opaque(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value { return Napi::Number::New(info.Env(), program().opaque()); });
  }
  Napi::Value bind(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), program().bind(TensorObject::Unwrap(info[0].As<Napi::Object>())->tensor));
    });
  }

  static std::map<std::string, std::vector<TensorId>> rolesFrom(const Napi::Value &value) {
    std::map<std::string, std::vector<TensorId>> roles;
    auto object = value.As<Napi::Object>();
    auto names = object.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      std::string name = names.Get(i).ToString();
      Napi::Value entry = object.Get(name);
      if (entry.IsUndefined()) continue;
      std::vector<TensorId> ids;
      if (entry.IsArray()) {
        auto list = entry.As<Napi::Array>();
        for (uint32_t k = 0; k < list.Length(); ++k) ids.push_back(list.Get(k).ToNumber().Int32Value());
      } else {
        ids.push_back(entry.ToNumber().Int32Value());
      }
      roles[name] = std::move(ids);
    }
    return roles;
  }
  static std::map<std::string, Attribute> attributesFrom(const Napi::Value &value) {
    std::map<std::string, Attribute> attributes;
    auto object = value.As<Napi::Object>();
    auto names = object.GetPropertyNames();
    for (uint32_t i = 0; i < names.Length(); ++i) {
      std::string name = names.Get(i).ToString();
      Napi::Value entry = object.Get(name);
      if (entry.IsNumber()) attributes[name] = entry.As<Napi::Number>().DoubleValue();
      if (entry.IsBoolean()) attributes[name] = entry.As<Napi::Boolean>().Value();
      if (entry.IsString()) attributes[name] = entry.As<Napi::String>().Utf8Value();
      if (!entry.IsArray()) continue;
      std::vector<double> numbers;
      auto list = entry.As<Napi::Array>();
      for (uint32_t k = 0; k < list.Length(); ++k) numbers.push_back(list.Get(k).ToNumber().DoubleValue());
      attributes[name] = std::move(numbers);
    }
    return attributes;
  }
  void record(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] {
      program().record({info[0].ToString(), rolesFrom(info[1]), rolesFrom(info[2]), attributesFrom(info[3])});
    });
  }

  /// compile(allocate: boolean): what it uses.
  Napi::Value compile(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Napi::Env env = info.Env();
      Plan plan = program().compile(info[0].ToBoolean());
      auto result = Napi::Object::New(env);
      result.Set("arenaBytes", double(plan.arenaBytes));
      result.Set("persistentBytes", double(plan.persistentBytes));
      result.Set("reorders", plan.reorders);
      auto items = Napi::Array::New(env, plan.items.size());
      for (size_t i = 0; i < plan.items.size(); ++i) {
        auto item = Napi::Object::New(env);
        item.Set("operation", plan.items[i].operation);
        item.Set("detail", plan.items[i].detail);
        item.Set("shapes", plan.items[i].shapes);
        item.Set("flops", plan.items[i].flops);
        item.Set("bytes", plan.items[i].bytes);
        items.Set(uint32_t(i), item);
      }
      result.Set("operations", items);
      return result;
    });
  }

  /// run(profile: boolean): Promise of undefined, or of each operation's seconds.
  Napi::Value run(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      program();
      Napi::Env env = info.Env();
      bool profile = info[0].ToBoolean();
      auto state = state_;
      state->running = true;
      state->abort = false;
      auto deferred = Napi::Promise::Deferred::New(env);
      auto outcome = std::make_shared<std::pair<std::string, std::string>>();
      auto settle = [deferred, outcome, state, profile](Napi::Env env, Napi::Function) {
        state->running = false;
        Napi::HandleScope scope(env);
        if (!outcome->first.empty()) return deferred.Reject(makeError(env, outcome->first, outcome->second).Value());
        if (!profile) return deferred.Resolve(env.Undefined());
        auto seconds = Napi::Float64Array::New(env, state->seconds.size());
        std::copy(state->seconds.begin(), state->seconds.end(), seconds.Data());
        deferred.Resolve(seconds);
      };
      auto done = Napi::ThreadSafeFunction::New(env, Napi::Function(), "semgen run", 0, 1);
      // The job holds the state: the program outlives its last run even when JavaScript has let go of it.
      runner_->post([state, profile, outcome, settle, done]() mutable {
        try {
          state->seconds.clear();
          state->program.run(state->abort, profile ? &state->seconds : nullptr);
        } catch (const Error &error) {
          *outcome = {error.code(), error.what()};
        } catch (const std::bad_alloc &) {
          *outcome = {"OUT_OF_MEMORY", "The engine ran out of memory."};
        } catch (const std::exception &error) {
          *outcome = {"NATIVE", error.what()};
        } catch (...) {
          *outcome = {"NATIVE", "The engine failed for an unknown reason."};
        }
        // Where the Worker that asked has been terminated meanwhile, `done` is gone.
        if (done.BlockingCall(settle) == napi_ok) done.Release();
      });
      return deferred.Promise();
    });
  }
  void abort(const Napi::CallbackInfo &) {
    if (state_) state_->abort = true;
  }
  void release(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] {
      program();
      state_.reset();
    });
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<Runner> runner_;
};

}  // namespace

std::shared_ptr<Engine> engineOf(const Napi::Value &value) {
  return EngineObject::Unwrap(value.As<Napi::Object>())->engine;
}

std::shared_ptr<Tensor> tensorOf(const Napi::Value &value) {
  return TensorObject::Unwrap(value.As<Napi::Object>())->tensor;
}

void registerEngine(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", EngineObject::define(env));
  exports.Set("Tensor", TensorObject::define(env));
  exports.Set("Program", ProgramObject::define(env));
  EngineInfo info = engineInfo();
  auto about = Napi::Object::New(env);
  about.Set("library", info.library);
  about.Set("instructions", info.instructions);
  about.Set("bf16", info.bf16);
  if (!info.unavailable.empty()) about.Set("unavailable", info.unavailable);
  exports.Set("about", about);
}

}  // namespace semgen::binding
