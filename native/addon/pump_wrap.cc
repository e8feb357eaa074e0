#include "addon/pump_wrap.h"

#include <stdexcept>
#include <utility>

#include "addon/arguments.h"
#include "addon/errors.h"
#include "io/handed_over.h"
#include "pump/pump.h"

namespace hopsack {
namespace {

/** Up to eight bytes in the order of the packet, the rest zero. */
uint64_t LoadField(ConstBytes bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return word;
}

HeaderField ParseField(Napi::Object field) {
  const ConstBytes value = ViewBytes(field.Get("value"));
  const ConstBytes mask = ViewBytes(field.Get("mask"));
  if (value.size() != mask.size() || value.size() > HeaderField::kBytes) {
    throw BadArgument(field.Env(), "a header field's value and mask differ in length, or are longer than eight bytes");
  }
  const uint64_t mask_word = LoadField(mask);
  return {field.Get("offset").As<Napi::Number>().Uint32Value(), LoadField(value) & mask_word, mask_word};
}

DropReason ParseReason(const Napi::Value& value) {
  const std::string name = value.As<Napi::String>();
  for (size_t i = 0; i < kDropReasonCount; i++) {
    if (name == kDropReasons[i].name) return static_cast<DropReason>(i);
  }
  throw BadArgument(value.Env(), "no such drop reason: " + name);
}

ExpectedHeader ParseExpectedHeader(Napi::Object options) {
  ExpectedHeader header;
  header.bytes = options.Get("headerBytes").As<Napi::Number>().Uint32Value();
  const auto checks = options.Get("headerChecks").As<Napi::Array>();
  header.check_count = checks.Length();
  if (header.bytes > kMaxEncapBytes || header.check_count > header.checks.size()) {
    throw BadArgument(options.Env(), "the expected header is too long, or has too many checks");
  }
  for (uint32_t i = 0; i < checks.Length(); i++) {
    const auto check = checks.Get(i).As<Napi::Object>();
    const Napi::Value except = check.Get("exceptVersion");
    header.checks[i] = {
        ParseField(check),
        except.IsNumber() ? static_cast<uint8_t>(except.As<Napi::Number>().Uint32Value()) : ExpectedHeader::kNoVersion,
        ParseReason(check.Get("reason"))};
    if (header.checks[i].field.offset >= header.bytes) {
      throw BadArgument(options.Env(), "a header check looks behind the header");
    }
  }
  return header;
}

std::vector<PuntPattern> ParsePunts(Napi::Object options) {
  std::vector<PuntPattern> patterns;
  const auto list = options.Get("punts").As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const auto fields = list.Get(i).As<Napi::Array>();
    PuntPattern& pattern = patterns.emplace_back();
    for (uint32_t k = 0; k < fields.Length(); k++) {
      pattern.fields.push_back(ParseField(fields.Get(k).As<Napi::Object>()));
    }
  }
  return patterns;
}

OffloadFlags ParseOffloads(Napi::Object offloads) {
  const auto flag = [&](const char* name) { return offloads.Get(name).ToBoolean().Value(); };
  return {flag("tso"), flag("uso"), flag("udpGso"), flag("udpGro"), flag("tunGro")};
}

/** Owned by the pump from here on. */
HandedOver ParseHandedOver(const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto fd = [&](const char* name) {
    return UniqueFd(value.As<Napi::Object>().Get(name).As<Napi::Number>().Int32Value());
  };
  return {fd("tunFd"), fd("socketFd")};
}

/** As a system error has it: `code` tells it from others. */
Napi::Error ToJavaScript(Napi::Env env, const UnusableDescriptor& error) {
  Napi::Error result = Napi::Error::New(env, error.what());
  result.Set("code", Napi::String::New(env, "EBADFD"));
  return result;
}

class PumpWrap : public Napi::ObjectWrap<PumpWrap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("Pump", DefineClass(env, "Pump",
                                    {
                                        InstanceAccessor<&PumpWrap::TunName>("tunName"),
                                        InstanceAccessor<&PumpWrap::TunIfIndex>("tunIfIndex"),
                                        InstanceMethod<&PumpWrap::SourcePorts>("sourcePorts"),
                                        InstanceMethod<&PumpWrap::Descriptors>("descriptors"),
                                        InstanceMethod<&PumpWrap::Publish>("publish"),
                                        InstanceMethod<&PumpWrap::Start>("start"),
                                        InstanceMethod<&PumpWrap::Stop>("stop"),
                                    }));
  }

  explicit PumpWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PumpWrap>(info) {
    const auto options = info[0].As<Napi::Object>();
    auto counters = options.Get("counters").As<Napi::BigUint64Array>();
    if (counters.ElementLength() != kWordCount) throw BadArgument(info.Env(), "counters must have one word per name");
    auto peer_bytes = options.Get("peerBytes").As<Napi::BigUint64Array>();
    counters_ = Napi::Persistent(counters.As<Napi::Object>());
    peer_bytes_ = Napi::Persistent(peer_bytes.As<Napi::Object>());
    PumpOptions pump_options = {
        options.Get("tunName").As<Napi::String>(),
        {options.Get("isIpip").ToBoolean(), options.Get("isDscpInherited").ToBoolean()},
        ParseLocal(options),
        options.Get("sourcePorts").As<Napi::Number>().Uint32Value(),
        ParseExpectedHeader(options),
        options.Get("overheadBytes").As<Napi::Number>().Uint32Value(),
        options.Get("innerMtuBytes").As<Napi::Number>().Uint32Value(),
        ParseOffloads(options.Get("offloads").As<Napi::Object>()),
        options.Get("naive").ToBoolean(),
        options.Get("checkInnerAddresses").ToBoolean(),
        ParsePunts(options),
        [this] { wake_.NonBlockingCall(); },
        counters.Data(),
        {peer_bytes.Data(), peer_bytes.ElementLength()},
        ParseHandedOver(options.Get("handedOver")),
    };
    try {
      pump_ = std::make_unique<Pump>(std::move(pump_options));
    } catch (const UnusableDescriptor& error) {
      throw ToJavaScript(info.Env(), error);
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
    // One call waits at most, since each takes everything that there is. It keeps no process from ending.
    wake_ = Wake::New(info.Env(), options.Get("onPunt").As<Napi::Function>(), "Pump", 1, 1, this);
    wake_.Unref(info.Env());
    // The threads must end before the environment does: a worker that is terminated, a process that runs out of work.
    napi_add_env_cleanup_hook(info.Env(), StopAtCleanup, this);
  }

  ~PumpWrap() override {
    if (pump_ == nullptr) return;
    napi_remove_env_cleanup_hook(Env(), StopAtCleanup, this);
    StopAll();
  }

 private:
  /** On JavaScript's thread. `env` is null when the queue dies with a call in it. */
  static void AnswerPunts(Napi::Env env, Napi::Function on_punt, PumpWrap* self, std::nullptr_t*) {
    if (static_cast<napi_env>(env) == nullptr) return;
    Punt punt;
    while (self->pump_->PopPunt(&punt)) {
      const Napi::Value answer = on_punt.Call({Napi::Buffer<uint8_t>::Copy(env, punt.bytes.data(), punt.size)});
      if (!answer.IsNull()) self->pump_->Answer(punt, ViewBytes(answer));
    }
  }
  using Wake = Napi::TypedThreadSafeFunction<PumpWrap, std::nullptr_t, AnswerPunts>;

  static void StopAtCleanup(void* self) { static_cast<PumpWrap*>(self)->StopAll(); }

  /** The threads first: they use wake_. */
  void StopAll() {
    pump_->Stop();
    if (!std::exchange(is_stopped_, true)) wake_.Abort();
  }

  Napi::Value TunName(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), pump_->tun_name()); }
  Napi::Value TunIfIndex(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), pump_->tun_if_index());
  }

  Napi::Value SourcePorts(const Napi::CallbackInfo& info) {
    const std::vector<uint16_t> ports = pump_->source_ports();
    Napi::Array result = Napi::Array::New(info.Env(), ports.size());
    for (uint32_t i = 0; i < ports.size(); i++) result.Set(i, Napi::Number::New(info.Env(), ports[i]));
    return result;
  }

  Napi::Value Descriptors(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("tunFd", Napi::Number::New(info.Env(), pump_->tun_fd()));
    result.Set("socketFd", Napi::Number::New(info.Env(), pump_->socket_fd()));
    return result;
  }

  void Publish(const Napi::CallbackInfo& info) {
    try {
      pump_->Publish(
          std::make_unique<const Fib>(ViewBytes(info[0]), ViewBytes(info[1]), ViewBytes(info[2]), ViewBytes(info[3])));
    } catch (const std::invalid_argument& error) {
      throw BadArgument(info.Env(), error.what());
    }
  }

  void Start(const Napi::CallbackInfo& info) {
    try {
      pump_->Start();
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }
  void Stop(const Napi::CallbackInfo&) { StopAll(); }

  Napi::ObjectReference counters_, peer_bytes_;  // keep the words alive while threads count
  Wake wake_;
  bool is_stopped_ = false;
  std::unique_ptr<Pump> pump_;
};

}  // namespace

void InitPump(Napi::Env env, Napi::Object exports) {
  PumpWrap::Init(env, exports);
}

}  // namespace hopsack
