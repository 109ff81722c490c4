/** Version of the product, as `package.json` of this workspace says; a test compares them. */
export const productVersion = '0.1.0';
