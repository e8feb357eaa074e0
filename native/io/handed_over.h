// A descriptor that came from another process, and is not what it should be. What it is instead is said in one clause.
#pragma once

#include <stdexcept>

namespace hopsack {

class UnusableDescriptor : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace hopsack
