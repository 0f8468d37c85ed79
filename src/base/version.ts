// The version, for logs and --help. A test holds it equal to deno.json's.

/** heed's version.
 * @category Scripts */
export const VERSION = "0.1.0";
