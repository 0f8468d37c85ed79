// The version, for logs and --help. A test checks that it equals deno.json's.

/** heed's version.
 * @category Scripts */
export const VERSION = "0.1.0";
