/* Stands in for the library by which Courier asks a daemon to watch files: nobody watches, and
 * Courier looks by itself. Such a daemon would outlive the tests. */
int FAMErrno = 1;
int FAMOpen(void *connection) { (void)connection; return -1; }
int FAMClose(void *connection) { (void)connection; return -1; }
int FAMMonitorFile(void *connection, const char *name, void *request, void *user)
{ (void)connection; (void)name; (void)request; (void)user; return -1; }
int FAMMonitorDirectory(void *connection, const char *name, void *request, void *user)
{ (void)connection; (void)name; (void)request; (void)user; return -1; }
int FAMCancelMonitor(void *connection, const void *request) { (void)connection; (void)request; return -1; }
int FAMPending(void *connection) { (void)connection; return -1; }
int FAMNextEvent(void *connection, void *event) { (void)connection; (void)event; return -1; }
