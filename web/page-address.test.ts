import { describe, expect, test } from "vitest";
import { electionAddress, readAddress, regionAddress } from "./page-address.ts";

const addresses: readonly { search: string; hash: string; electionId: string | undefined; regionId: string }[] = [
  { search: "", hash: "", electionId: undefined, regionId: "" },
  { search: "?election=", hash: "#", electionId: undefined, regionId: "" },
  { search: "?election=nh-2020", hash: "#belknap/alton", electionId: "nh-2020", regionId: "belknap/alton" },
  { search: "?a=b&election=x", hash: "#belknap%2Falton", electionId: "x", regionId: "belknap/alton" },
  { search: "?election=x", hash: "#%", electionId: "x", regionId: "%" },
];

describe("the page's address", () => {
  for (const { search, hash, ...expected } of addresses) {
    test(`"${search}${hash}" is read`, () => {
      expect(readAddress(search, hash)).toEqual(expected);
    });
  }

  test("what is written is read back", () => {
    expect(readAddress(electionAddress("nh-2020"), regionAddress("belknap/alton"))).toEqual({
      electionId: "nh-2020",
      regionId: "belknap/alton",
    });
  });
});
