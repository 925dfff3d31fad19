// What the two halves of the depthwise algorithm share: the sums over windows and those over pixels.
#pragma once

#include "core/plan.h"

namespace convkern {

// The same problem with its groups as channels: what staging looks at.
inline Problem as_channels(const Problem& p) {
  Problem q = p;
  q.channels = p.groups;
  q.image.channel = p.image.group;
  return q;
}

// For the weight gradient of one summed channel a group.
template <class T>
std::unique_ptr<Algorithm> make_depthwise_weight(const ck_spec& spec, const Kernels<T>& kernels);

}  // namespace convkern
