// Resolution hooks: where `import` finds nothing, look where `require` would, that is in the folders of NODE_PATH.

import { pathToFileURL } from "node:url";
import * as path from "node:path";

const folders = (process.env.NODE_PATH ?? "").split(path.delimiter).filter(Boolean);
const parents = folders.map((folder) => pathToFileURL(path.join(path.dirname(folder), "import-from-node-path.mjs")).href);
const isBare = (specifier) => !/^(\.{0,2}\/|node:|file:|data:)/.test(specifier);
const isMissing = (error) => error?.code === "ERR_MODULE_NOT_FOUND";

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (!isBare(specifier) || !isMissing(error)) throw error;
    for (const parentURL of parents) {
      try {
        return await nextResolve(specifier, { ...context, parentURL });
      } catch (other) {
        if (!isMissing(other)) throw other;
      }
    }
    throw error;
  }
}

export const syncHooks = {
  resolve(specifier, context, nextResolve) {
    try {
      return nextResolve(specifier, context);
    } catch (error) {
      if (!isBare(specifier) || !(isMissing(error) || error?.code === "MODULE_NOT_FOUND")) throw error;
      for (const parentURL of parents) {
        try {
          return nextResolve(specifier, { ...context, parentURL });
        } catch (other) {
          if (!isMissing(other)) throw other;
        }
      }
      throw error;
    }
  },
};
