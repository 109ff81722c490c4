/** Of the program, as the build identity and `--version` say it; a test keeps it equal to package.json. */
export const programVersion = '0.1.0';
