#include "addon/netlink_wrap.h"

#include <linux/netlink.h>
#include <sys/file.h>

#include <memory>
#include <span>
#include <vector>

#include "addon/errors.h"
#include "io/netlink_socket.h"

namespace hopsack {
namespace {

/** Batches of events waiting for JavaScript; beyond, the monitor's thread waits and the kernel drops (ENOBUFS). */
constexpr size_t kEventQueueLimit = 16;

/** Runs `body`; a failed system call becomes a JavaScript Error. */
template <typename Body>
auto WithErrors(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const SystemError& error) {
    throw ToJavaScript(env, error);
  }
}

Napi::Array ToArray(Napi::Env env, const std::vector<NetlinkMessage>& messages) {
  Napi::Array array = Napi::Array::New(env, messages.size());
  for (uint32_t i = 0; i < messages.size(); i++) {
    const NetlinkMessage& message = messages[i];
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, message.size());
    std::copy(message.begin(), message.end(), bytes.Data());
    array.Set(i, bytes);
  }
  return array;
}

/** NETLINK_ROUTE where none is named. */
int ProtocolOf(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : NETLINK_ROUTE;
}

class SocketWrap : public Napi::ObjectWrap<SocketWrap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("NetlinkSocket", DefineClass(env, "NetlinkSocket",
                                             {
                                                 InstanceMethod<&SocketWrap::Request>("request"),
                                                 InstanceMethod<&SocketWrap::NetnsCookie>("netnsCookie"),
                                                 InstanceMethod<&SocketWrap::Close>("close"),
                                             }));
  }

  explicit SocketWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SocketWrap>(info), socket_(WithErrors(info.Env(), [&] {
          return std::make_unique<NetlinkSocket>(info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "",
                                                 ProtocolOf(info[1]));
        })) {}

 private:
  Napi::Value Request(const Napi::CallbackInfo& info) {
    if (socket_ == nullptr) throw Napi::Error::New(info.Env(), "this NetlinkSocket is closed");
    const auto messages = info[0].As<Napi::Array>();
    std::vector<std::span<const uint8_t>> requests;
    requests.reserve(messages.Length());
    for (uint32_t i = 0; i < messages.Length(); i++) {
      const Napi::Value message = messages[i];
      if (!message.IsTypedArray()) throw Napi::TypeError::New(info.Env(), "a netlink request is a Uint8Array");
      const auto bytes = message.As<Napi::Uint8Array>();
      requests.emplace_back(bytes.Data(), bytes.ByteLength());
    }
    return WithErrors(info.Env(), [&] { return ToArray(info.Env(), socket_->Request(requests)); });
  }

  Napi::Value NetnsCookie(const Napi::CallbackInfo& info) {
    if (socket_ == nullptr) throw Napi::Error::New(info.Env(), "this NetlinkSocket is closed");
    return Napi::BigInt::New(info.Env(), socket_->NetnsCookie());
  }

  void Close(const Napi::CallbackInfo&) { socket_.reset(); }

  std::unique_ptr<NetlinkSocket> socket_;
};

class MonitorWrap : public Napi::ObjectWrap<MonitorWrap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("NetlinkMonitor", DefineClass(env, "NetlinkMonitor", {InstanceMethod<&MonitorWrap::Close>("close")}));
  }

  explicit MonitorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MonitorWrap>(info) {
    const auto numbers = info[0].As<Napi::Array>();
    std::vector<int> groups;
    for (uint32_t i = 0; i < numbers.Length(); i++) groups.push_back(numbers.Get(i).As<Napi::Number>().Int32Value());
    queue_ = Queue::New(info.Env(), info[1].As<Napi::Function>(), "NetlinkMonitor", kEventQueueLimit, 1);
    try {
      monitor_ = std::make_unique<NetlinkMonitor>(ProtocolOf(info[2]), groups,
                                                  [this](Batch batch) { return Enqueue(std::move(batch)); });
    } catch (const SystemError& error) {
      queue_.Abort();
      throw ToJavaScript(info.Env(), error);
    }
    Ref();  // until Close(): whoever listens need not hold the object
    // The thread must end before the environment does: a worker that is terminated, process.exit().
    napi_add_env_cleanup_hook(info.Env(), StopAtCleanup, this);
  }

 private:
  using Batch = std::vector<NetlinkMessage>;

  /** `env` is null when the queue dies with messages in it. */
  static void Dequeue(Napi::Env env, Napi::Function on_messages, std::nullptr_t*, Batch* raw) {
    const std::unique_ptr<Batch> batch(raw);
    if (static_cast<napi_env>(env) != nullptr) on_messages.Call({ToArray(env, *batch)});
  }
  using Queue = Napi::TypedThreadSafeFunction<std::nullptr_t, Batch, Dequeue>;

  static void StopAtCleanup(void* self) { static_cast<MonitorWrap*>(self)->Stop(); }

  /** On the monitor's thread. */
  bool Enqueue(Batch batch) {
    auto owned = std::make_unique<Batch>(std::move(batch));
    if (queue_.BlockingCall(owned.get()) != napi_ok) return false;
    static_cast<void>(owned.release());  // Dequeue has it
    return true;
  }

  /** The abort wakes a thread that waits in Enqueue. */
  void Stop() {
    queue_.Abort();
    monitor_->Stop();
    monitor_.reset();
  }

  void Close(const Napi::CallbackInfo& info) {
    if (monitor_ == nullptr) return;
    napi_remove_env_cleanup_hook(info.Env(), StopAtCleanup, this);
    Stop();
    Unref();
  }

  Queue queue_;
  std::unique_ptr<NetlinkMonitor> monitor_;
};

Napi::Value TryLockFile(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  return WithErrors(info.Env(), [&]() -> Napi::Value {
    const bool is_locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!is_locked && errno != EWOULDBLOCK) throw SystemError("flock", errno);
    return Napi::Boolean::New(info.Env(), is_locked);
  });
}

}  // namespace

void InitNetlink(Napi::Env env, Napi::Object exports) {
  SocketWrap::Init(env, exports);
  MonitorWrap::Init(env, exports);
  exports.Set("tryLockFile", Napi::Function::New(env, TryLockFile, "tryLockFile"));
}

}  // namespace hopsack
