# SPDX-License-Identifier: MIT
# What Cap'n Proto's side of the benchmark calls.
@0xd2e1c7a94b60358f;

interface Echo {
  echo @0 (data :Data) -> (data :Data);
}
