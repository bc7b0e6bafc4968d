// What of a page's or a worker's surroundings is used. The types of Node, with which all of mspec is checked, lack them.

interface PageGlobals {
  readonly document?: { readonly baseURI: string };
  readonly location?: { readonly href: string };
  readonly navigator?: { readonly gpu?: GPU };
  readonly isSecureContext?: boolean;
}

export const pageGlobals = globalThis as PageGlobals;

/** An address as a whole one: what is relative is relative to the page, or to a worker's script. */
export const wholeAddress = (address: string): string =>
  new URL(address, pageGlobals.document?.baseURI ?? pageGlobals.location?.href).href;
