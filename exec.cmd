@rem npm scripts begin with exec, for a signal to npm to reach Node. On Windows, npm finds this file under that name.
@echo Gatehouse runs on Linux and macOS; on Windows, run it in WSL. 1>&2 & exit /b 1
