/** SHA-256. Browsers have it on https:// and localhost only, and the page works elsewhere, too. */

import { sha256 } from "@noble/hashes/sha2";
import { bytesToHex } from "@noble/hashes/utils";

/** The SHA-256 of data as 64 hexadecimal digits. */
export function checksum(data: Uint8Array): string {
  return bytesToHex(sha256(data));
}
