// A failed system call with its name; native/addon turns it into a JavaScript Error with `code` and `syscall`.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace hopsack {

class SystemError : public std::runtime_error {
 public:
  SystemError(std::string syscall, int error)
      : std::runtime_error(syscall + " failed with errno " + std::to_string(error)),
        syscall_(std::move(syscall)),
        error_(error) {}

  const std::string& syscall() const { return syscall_; }
  int error() const { return error_; }

 private:
  std::string syscall_;
  int error_;
};

/** The result of a system call, or SystemError when it is negative. */
inline int Check(int result, const char* syscall) {
  if (result < 0) throw SystemError(syscall, errno);
  return result;
}

}  // namespace hopsack
