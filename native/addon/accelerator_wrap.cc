#include "addon/accelerator_wrap.h"

#include <algorithm>
#include <optional>
#include <span>
#include <stdexcept>

#include "addon/arguments.h"
#include "addon/errors.h"
#include "bpf/accelerator.h"
#include "io/link.h"

namespace hopsack {
namespace {

/** `value` and `mask` of a whole header. */
accel_expected ParseExpected(Napi::Object options, const char* name) {
  accel_expected expected{};
  const auto header = options.Get(name).As<Napi::Object>();
  const ConstBytes value = ViewBytes(header.Get("value")), mask = ViewBytes(header.Get("mask"));
  if (value.size() > sizeof expected.value || mask.size() != value.size()) {
    throw BadArgument(options.Env(), "the expected header is too long, or its mask has another length");
  }
  std::ranges::copy(std::as_bytes(value), std::as_writable_bytes(std::span(expected.value)).begin());
  std::ranges::copy(std::as_bytes(mask), std::as_writable_bytes(std::span(expected.mask)).begin());
  return expected;
}

std::vector<uint16_t> ParsePorts(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<uint16_t> ports;
  for (uint32_t i = 0; i < list.Length(); i++) {
    ports.push_back(static_cast<uint16_t>(list.Get(i).As<Napi::Number>().Uint32Value()));
  }
  return ports;
}

class AcceleratorWrap : public Napi::ObjectWrap<AcceleratorWrap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("Accelerator", DefineClass(env, "Accelerator",
                                           {
                                               InstanceMethod<&AcceleratorWrap::Attach>("attach"),
                                               InstanceMethod<&AcceleratorWrap::OpenDoors>("openDoors"),
                                               InstanceMethod<&AcceleratorWrap::Publish>("publish"),
                                               InstanceMethod<&AcceleratorWrap::Counts>("counts"),
                                               InstanceMethod<&AcceleratorWrap::PeerBytes>("peerBytes"),
                                               InstanceMethod<&AcceleratorWrap::Close>("close"),
                                           }));
  }

  explicit AcceleratorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AcceleratorWrap>(info) {
    const auto options = info[0].As<Napi::Object>();
    try {
      accelerator_.emplace(AcceleratorOptions{
          ParseLocal(options),
          options.Get("underlayIfIndex").As<Napi::Number>().Uint32Value(),
          options.Get("tunIfIndex").As<Napi::Number>().Uint32Value(),
          options.Get("mergingIfIndex").As<Napi::Number>().Uint32Value(),
          options.Get("mergedIfIndex").As<Napi::Number>().Uint32Value(),
          static_cast<uint8_t>(options.Get("protocol").As<Napi::Number>().Uint32Value()),
          static_cast<uint8_t>(options.Get("tosMask").As<Napi::Number>().Uint32Value()),
          ParsePorts(options.Get("sourcePorts")),
          options.Get("peerSlots").As<Napi::Number>().Uint32Value(),
          options.Get("headerBytes").As<Napi::Number>().Uint32Value(),
          options.Get("endsInEthernet").ToBoolean(),
          {ParseExpected(options, "expectedV4"), ParseExpected(options, "expectedV6")},
      });
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

 private:
  void Attach(const Napi::CallbackInfo& info) {
    try {
      if (accelerator_.has_value()) accelerator_->Attach();
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

  Napi::Value OpenDoors(const Napi::CallbackInfo& info) {
    if (!accelerator_.has_value()) return info.Env().Null();
    try {
      const Accelerator::Doors doors = accelerator_->OpenDoors();
      Napi::Object result = Napi::Object::New(info.Env());
      result.Set("inFd", Napi::Number::New(info.Env(), doors.in));
      result.Set("outFd", Napi::Number::New(info.Env(), doors.out));
      result.Set("mergedFd", Napi::Number::New(info.Env(), doors.merged));
      return result;
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

  void Publish(const Napi::CallbackInfo& info) {
    if (!accelerator_.has_value()) return;
    try {
      accelerator_->Publish({ViewBytes(info[0]), ViewBytes(info[1]), ViewBytes(info[2]), ViewBytes(info[3])},
                            ViewBytes(info[4]));
    } catch (const std::invalid_argument& error) {
      throw BadArgument(info.Env(), error.what());
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

  Napi::Value Counts(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    Accelerator::Counts counts;
    try {
      if (accelerator_.has_value()) counts = accelerator_->ReadCounts();
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
#define X(name) result.Set(#name, Napi::Number::New(info.Env(), static_cast<double>(counts.name)));
    HOPSACK_ACCELERATOR_COUNTS(X)
#undef X
    return result;
  }

  Napi::Value PeerBytes(const Napi::CallbackInfo& info) {
    accel_peer_bytes bytes{};
    try {
      if (accelerator_.has_value()) bytes = accelerator_->ReadPeerBytes(info[0].As<Napi::Number>().Uint32Value());
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("sent", Napi::Number::New(info.Env(), static_cast<double>(bytes.sent)));
    result.Set("received", Napi::Number::New(info.Env(), static_cast<double>(bytes.received)));
    return result;
  }

  void Close(const Napi::CallbackInfo&) {
    accelerator_.reset();
  }

  std::optional<Accelerator> accelerator_;
};

/** A question about the link of a name. */
template <bool (*kQuestion)(const std::string&)>
Napi::Value AskLink(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), kQuestion(info[0].As<Napi::String>()));
}

Napi::Value MakePairMerge(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), MakeVethPairMerge(info[0].As<Napi::String>(), info[1].As<Napi::String>()));
}

}  // namespace

void InitAccelerator(Napi::Env env, Napi::Object exports) {
  AcceleratorWrap::Init(env, exports);
  exports.Set("isEthernet", Napi::Function::New(env, AskLink<LinkIsEthernet>));
  exports.Set("makePairMerge", Napi::Function::New(env, MakePairMerge));
  exports.Set("carriesSuperPackets", Napi::Function::New(env, AskLink<LinkCarriesSuperPackets>));
}

}  // namespace hopsack
